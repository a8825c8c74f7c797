// Collections, versions and aliases of a ClusterEngine.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/status_macros.h"
#include "index/cluster/cluster_engine_impl.h"
#include "index/cluster/merge.h"

namespace bebr {
namespace {

absl::Status NoSnapshots() {
  return absl::UnimplementedError(
      "snapshots: a gateway over nodes without a log (cluster_log) carries none, since these have no moment in common; "
      "make one on each node, by its own address, while nothing is written");
}

std::string Collection(std::string_view name) { return absl::StrFormat("collection \"%s\"", name); }
std::string VersionOf(std::string_view name, std::string_view collection) {
  return absl::StrFormat("version \"%s\" of collection \"%s\"", name, collection);
}

// What a node holds of so many documents.
uint64_t ShareOf(const NodePlace& place, uint64_t documents) {
  const double share = static_cast<double>(place.last_slot - place.first_slot + 1) / kClusterSlots;
  return static_cast<uint64_t>(std::ceil(share * static_cast<double>(documents)));
}

}  // namespace

absl::Status ClusterEngine::AllAnswer(std::string_view what) {
  Look();
  MutexLock lock(&mutex_);
  std::vector<absl::Status> errors;
  for (const auto& state : states_) errors.push_back(state.status());
  absl::Status missing = FirstError(errors);
  if (missing.ok()) return missing;
  return absl::Status(missing.code(), absl::StrFormat("%s; %s stays as it is, since every node must take the change",
                                                      missing.message(), what));
}

absl::Status ClusterEngine::OnEvery(std::string_view what, absl::StatusCode enough,
                                    const std::function<absl::Status(size_t node)>& change, std::vector<size_t> order,
                                    std::string_view created_in) {
  MutexLock one_at_a_time(&changing_);
  BEBR_RETURN_IF_ERROR(AllAnswer(what));
  for (size_t node = 0; order.size() < members_.size(); ++node) {
    if (std::find(order.begin(), order.end(), node) == order.end()) order.push_back(node);
  }
  std::vector<std::string> changed;
  absl::Status had;
  for (const size_t node : order) {
    absl::Status status = change(node);
    if (status.code() == enough && enough != absl::StatusCode::kOk) {
      had.Update(status);
      continue;
    }
    if (status.ok()) {
      changed.push_back(PlaceOf(node).name);
      continue;
    }
    Look();
    std::vector<absl::Status> errors(members_.size());
    errors[node] = status;
    status = FirstError(errors);
    if (changed.empty()) return status;
    return absl::Status(status.code(),
                        absl::StrFormat("%s has changed on node %s, and not on node %s: %s. Call again once that is "
                                        "mended; what is done already does no harm",
                                        what, absl::StrJoin(changed, ", "), PlaceOf(node).name, status.message()));
  }
  Look();
  if (changed.empty()) return had;
  if (had.ok() || created_in.empty()) return absl::OkStatus();
  // What some had already may be something else.
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, GetCollection(created_in));
  if (info.problem.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("%s was on some nodes already, and on node %s it is new: %s. Take it away, then create it again",
                      what, absl::StrJoin(changed, ", "), info.problem));
}

absl::Status ClusterEngine::CreateCollection(const CollectionConfig& config, std::string_view model_file) {
  if (config.auto_binarizer.has_value()) {
    return absl::UnimplementedError(
        "auto_binarizer: nodes would make binarizers of their own, whose codes cannot be compared; train one "
        "(bebr-train) and create the collection with its model file");
  }
  return OnEvery(
      Collection(config.name), absl::StatusCode::kAlreadyExists,
      [&](size_t node) {
        CollectionConfig part = config;
        part.expected_documents = ShareOf(members_[node].place, config.expected_documents);
        return members_[node].node->engine().CreateCollection(part, model_file);
      },
      /*order=*/{}, config.name);
}

absl::Status ClusterEngine::DeleteCollection(std::string_view name) {
  return OnEvery(Collection(name), absl::StatusCode::kNotFound,
                 [&](size_t node) { return members_[node].node->engine().DeleteCollection(name); });
}

absl::StatusOr<CollectionInfo> ClusterEngine::GetCollection(std::string_view name) {
  BEBR_ASSIGN_OR_RETURN(std::vector<CollectionInfo> parts,
                        FromAll<CollectionInfo>([&](Engine& engine) { return engine.GetCollection(name); }));
  return MergeInfos(std::move(parts));
}

absl::Status ClusterEngine::AddVersion(std::string_view collection, const VersionConfig& config,
                                       std::string_view model_file) {
  return OnEvery(
      VersionOf(config.name, collection), absl::StatusCode::kAlreadyExists,
      [&](size_t node) { return members_[node].node->engine().AddVersion(collection, config, model_file); },
      /*order=*/{}, collection);
}

absl::Status ClusterEngine::PromoteVersion(std::string_view collection, std::string_view version,
                                           std::string_view expected_default, bool force) {
  BEBR_ASSIGN_OR_RETURN(const std::vector<CollectionInfo> infos,
                        FromAll<CollectionInfo>([&](Engine& engine) { return engine.GetCollection(collection); }));
  // First those that will refuse, so that none has changed then.
  std::vector<size_t> order;
  for (size_t node = 0; node < infos.size(); ++node) {
    for (const VersionInfo& info : infos[node].versions) {
      const bool ready = info.state == VersionState::kReady || info.state == VersionState::kDefault;
      if (info.name == version && !ready) order.push_back(node);
    }
  }
  return OnEvery(
      VersionOf(version, collection), absl::StatusCode::kOk,
      [&](size_t node) {
        // As an earlier call that did not reach all of them has left it.
        const bool done = infos[node].default_version == version;
        return members_[node].node->engine().PromoteVersion(collection, version, done ? "" : expected_default, force);
      },
      std::move(order));
}

absl::Status ClusterEngine::RetireVersion(std::string_view collection, std::string_view version) {
  return OnEvery(VersionOf(version, collection), absl::StatusCode::kNotFound,
                 [&](size_t node) { return members_[node].node->engine().RetireVersion(collection, version); });
}

absl::Status ClusterEngine::StartBackfill(std::string_view collection, std::string_view version,
                                          uint64_t documents_per_s) {
  // A node without documents has nothing to encode.
  return OnEvery(VersionOf(version, collection), absl::StatusCode::kFailedPrecondition, [&](size_t node) {
    const uint64_t share = ShareOf(members_[node].place, documents_per_s);
    return members_[node].node->engine().StartBackfill(collection, version, share);
  });
}

absl::Status ClusterEngine::StopBackfill(std::string_view collection, std::string_view version) {
  return OnEvery(VersionOf(version, collection), absl::StatusCode::kFailedPrecondition,
                 [&](size_t node) { return members_[node].node->engine().StopBackfill(collection, version); });
}

absl::StatusOr<VersionCheck> ClusterEngine::CheckVersion(std::string_view, const CheckRequest&) {
  return absl::UnimplementedError(
      "CheckVersion: a gateway over several nodes does not carry it yet; call it on a node, by its own address, which "
      "compares the versions on that node's documents");
}

absl::Status ClusterEngine::SetAlias(std::string_view alias, std::string_view collection,
                                     std::optional<std::string_view> expected) {
  return OnEvery(absl::StrFormat("alias \"%s\"", alias), absl::StatusCode::kOk, [&](size_t node) {
    absl::Status set = members_[node].node->engine().SetAlias(alias, collection, expected);
    if (!absl::IsFailedPrecondition(set)) return set;
    // As an earlier call that did not reach all nodes has left it.
    return members_[node].node->engine().SetAlias(alias, collection, collection).ok() ? absl::OkStatus() : set;
  });
}

absl::Status ClusterEngine::DeleteAlias(std::string_view alias) {
  return OnEvery(absl::StrFormat("alias \"%s\"", alias), absl::StatusCode::kNotFound,
                 [&](size_t node) { return members_[node].node->engine().DeleteAlias(alias); });
}

absl::StatusOr<SnapshotInfo> ClusterEngine::CreateSnapshot(std::string_view, std::string_view) { return NoSnapshots(); }
absl::StatusOr<std::vector<SnapshotInfo>> ClusterEngine::ListSnapshots(std::string_view) { return NoSnapshots(); }
absl::Status ClusterEngine::RestoreSnapshot(std::string_view, std::string_view, std::string_view) {
  return NoSnapshots();
}
absl::Status ClusterEngine::DeleteSnapshot(std::string_view, std::string_view) { return NoSnapshots(); }

absl::StatusOr<MemoryUse> ClusterEngine::EstimateMemory(std::string_view collection, uint64_t documents,
                                                        double id_bytes, const AttributeLoad& attributes) {
  MemoryUse all;
  for (const ClusterMember& member : members_) {
    BEBR_ASSIGN_OR_RETURN(
        const MemoryUse part,
        member.node->engine().EstimateMemory(collection, ShareOf(member.place, documents), id_bytes, attributes));
    all.codes += part.codes;
    all.ids += part.ids;
    all.attributes += part.attributes;
    all.models += part.models;
    all.total += part.total;
  }
  return all;
}

}  // namespace bebr
