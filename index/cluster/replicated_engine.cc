#include "index/cluster/replicated_engine.h"

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/cluster/replicated_engine_impl.h"

namespace bebr {
namespace {

constexpr size_t kWaitingThreads = 4;
constexpr uint32_t kMostShards = 8;  // of a collection on a node, where nobody says how many
constexpr uint32_t kBarrierShard = 0;

}  // namespace

std::unique_ptr<GatewayEngine> MakeReplicatedEngine(std::vector<ReplicaMember> members,
                                                    const ReplicatedOptions& options, Membership** membership) {
  auto head = std::make_shared<LogHead>(options.open_to_ask);
  std::map<uint32_t, std::vector<ReplicaMember>> by_slot;
  for (ReplicaMember& member : members) by_slot[member.place.first_slot].push_back(std::move(member));
  std::vector<ClusterMember> shares;
  std::vector<ReplicaSet*> sets;
  for (auto& [slot, replicas] : by_slot) {
    auto set = std::make_unique<ReplicaSet>(std::move(replicas), head, options.timeout);
    sets.push_back(set.get());
    const NodePlace place = set->place();
    shares.push_back({place, std::move(set)});
  }
  auto engine = std::make_unique<ReplicatedEngine>(std::move(shares), std::move(sets), std::move(head), options);
  if (membership != nullptr) *membership = &engine->members();
  return engine;
}

ReplicatedEngine::ReplicatedEngine(std::vector<ClusterMember> members, std::vector<ReplicaSet*> sets,
                                   std::shared_ptr<LogHead> head, const ReplicatedOptions& options)
    : ClusterEngine(std::move(members)),
      sets_(std::move(sets)),
      head_(std::move(head)),
      timeout_(options.timeout),
      lane_(options.open, options.writer, options.timeout),
      keeper_(options.members, sets_),
      waiting_(kWaitingThreads) {
  if (options.compare_interval <= absl::ZeroDuration()) return;
  keep_comparing_ = std::thread([this, interval = options.compare_interval, bytes_per_s = options.compare_bytes_per_s] {
    KeepComparing(interval, bytes_per_s);
  });
}

ReplicatedEngine::~ReplicatedEngine() {
  *ending_ = true;
  {
    MutexLock lock(&verified_mutex_);
    wake_.NotifyAll();
  }
  if (keep_comparing_.joinable()) keep_comparing_.join();
}

absl::StatusOr<uint64_t> ReplicatedEngine::Made(const LogChange& change, uint64_t* placed_at) {
  for (ReplicaSet* set : sets_) BEBR_RETURN_IF_ERROR(set->CheckLog());
  BEBR_ASSIGN_OR_RETURN(std::string encoded, EncodeLogChange(change));
  auto placed = std::make_shared<std::promise<absl::StatusOr<LogLane::Placed>>>();  // shared: set_value may outlast get
  lane_.Append({.changes = {{kBarrierShard, std::move(encoded)}}, .alone = true},
               [placed](absl::StatusOr<LogLane::Placed> result) { placed->set_value(std::move(result)); });
  BEBR_ASSIGN_OR_RETURN(const LogLane::Placed place, placed->get_future().get());
  head_->Saw(place.position);
  if (placed_at != nullptr) *placed_at = place.position;
  // All replicas make it alike: so the first share that answers says what all of them would.
  absl::Status error;
  for (ReplicaSet* set : sets_) {
    auto known = std::make_shared<std::promise<absl::StatusOr<ChangeOutcome>>>();
    set->Outcome(place.place(), 0,
                 [known](absl::StatusOr<ChangeOutcome> outcome) { known->set_value(std::move(outcome)); });
    const absl::StatusOr<ChangeOutcome> outcome = known->get_future().get();
    if (!outcome.ok()) {
      error.Update(outcome.status());
      continue;
    }
    if (outcome->status.ok() && change.kind == LogChangeKind::kSetAlias)
      NoteAlias(place.position, change.name, change.target);
    if (outcome->status.ok() && change.kind == LogChangeKind::kDeleteAlias)
      NoteAlias(place.position, change.name, std::nullopt);
    Look();
    if (!outcome->status.ok()) return outcome->status;
    return place.position;
  }
  return error;
}

absl::Status ReplicatedEngine::Barrier(const LogChange& change) { return Made(change).status(); }

absl::Status ReplicatedEngine::CreateCollection(const CollectionConfig& config, std::string_view model_file) {
  if (config.auto_binarizer.has_value()) {
    return absl::UnimplementedError(
        "auto_binarizer: nodes would make binarizers of their own, whose codes cannot be compared; train one "
        "(bebr-train) and create the collection with its model file");
  }
  LogChange change{.kind = LogChangeKind::kCreateCollection, .name = config.name, .collection = config};
  if (config.shards == 0)
    change.collection.shards = std::min(kMostShards, static_cast<uint32_t>(AvailableProcessors()));
  change.collection.expected_documents = (config.expected_documents + sets_.size() - 1) / sets_.size();
  change.model = std::string(model_file);
  return Barrier(change);
}

absl::Status ReplicatedEngine::DeleteCollection(std::string_view name) {
  BEBR_RETURN_IF_ERROR(Barrier({.kind = LogChangeKind::kDropCollection, .name = std::string(name)}));
  backfills_.Forget(std::string(name));
  return absl::OkStatus();
}

absl::Status ReplicatedEngine::AddVersion(std::string_view collection, const VersionConfig& config,
                                          std::string_view model_file) {
  return Barrier({.kind = LogChangeKind::kAddVersion,
                  .name = std::string(collection),
                  .version = config,
                  .model = std::string(model_file)});
}

absl::Status ReplicatedEngine::PromoteVersion(std::string_view collection, std::string_view version,
                                              std::string_view expected_default, bool force) {
  // Of all shares together, which no replica knows; then it is for all of them.
  BEBR_ASSIGN_OR_RETURN(const std::vector<CollectionInfo> infos,
                        FromAll<CollectionInfo>([&](Engine& engine) { return engine.GetCollection(collection); }));
  for (const CollectionInfo& info : infos) {
    for (const VersionInfo& one : info.versions) {
      const bool ready = one.state == VersionState::kReady || one.state == VersionState::kDefault;
      if (force || one.name != version || one.state == VersionState::kRetired || ready || info.documents == 0) continue;
      return absl::FailedPreconditionError(absl::StrFormat(
          "version \"%s\" is not ready: some documents have no code in its space, so searches would not find them; "
          "backfill it, or write their embeddings, first; or force it",
          version));
    }
  }
  LogChange change{.kind = LogChangeKind::kPromoteVersion, .name = std::string(collection), .force = true};
  change.version.name = version;
  if (!expected_default.empty()) change.expected = std::string(expected_default);
  return Barrier(change);
}

absl::Status ReplicatedEngine::CheckRetired(std::string_view collection, std::string_view version) {
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, GetCollection(collection));
  const auto find = [&](std::string_view name) {
    return std::find_if(info.versions.begin(), info.versions.end(),
                        [&](const VersionInfo& one) { return one.name == name; });
  };
  const auto retired = find(version), kept = find(info.default_version);
  if (retired == info.versions.end() || kept == info.versions.end()) return absl::OkStatus();  // the nodes say so
  uint64_t coded = 0;
  for (const VersionInfo& one : info.versions) {
    const bool in_use = one.state != VersionState::kRetired;
    if (in_use && &one != &*retired && one.space == retired->space) return absl::OkStatus();  // its codes stay
    coded += one.space == kept->space ? one.documents : 0;
  }
  if (coded >= info.documents || retired == kept) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "%d of %d documents have no code in the space of the default version \"%s\" and would be lost to searches; "
      "backfill it, write their embeddings of it, or delete them, first",
      info.documents - coded, info.documents, info.default_version));
}

absl::Status ReplicatedEngine::RetireVersion(std::string_view collection, std::string_view version) {
  BEBR_RETURN_IF_ERROR(CheckRetired(collection, version));
  LogChange change{.kind = LogChangeKind::kRetireVersion, .name = std::string(collection)};
  change.version.name = version;
  return Barrier(change);
}

absl::Status ReplicatedEngine::SetAlias(std::string_view alias, std::string_view collection,
                                        std::optional<std::string_view> expected) {
  LogChange change{.kind = LogChangeKind::kSetAlias, .name = std::string(alias), .target = std::string(collection)};
  if (expected.has_value()) change.expected = std::string(*expected);
  return Barrier(change);
}

absl::Status ReplicatedEngine::DeleteAlias(std::string_view alias) {
  return Barrier({.kind = LogChangeKind::kDeleteAlias, .name = std::string(alias)});
}

}  // namespace bebr
