#include "index/follow/applier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/own_error.h"
#include "index/base/status_macros.h"
#include "index/catalog/aliases.h"
#include "index/follow/seed.h"
#include "index/replica/log_record.h"

namespace bebr {
namespace {

bool IsBarrier(const LogChange& change) {
  return change.kind != LogChangeKind::kMutations && change.kind != LogChangeKind::kDocuments;
}

// Whether an error is one that every replica finds with a change of collections, versions or aliases, since it depends
// on the log alone. What is left is the machine's, whatever its code, and is tried again.
bool IsRefusal(const absl::Status& error) {
  if (IsOwnError(error)) return false;
  return absl::IsInvalidArgument(error) || absl::IsNotFound(error) || absl::IsAlreadyExists(error) ||
         absl::IsFailedPrecondition(error) || absl::IsUnimplemented(error);
}

// Whether there are as many as there may be of what the change adds; a full disk has the same code, and passes.
bool IsFull(Engine& engine, const LogChange& change) {
  if (change.kind == LogChangeKind::kSetAlias) return engine.ListAliases().size() >= kMaxAliases;
  if (change.kind != LogChangeKind::kAddVersion) return false;
  const auto info = engine.GetCollection(change.name);
  return info.ok() && info->versions.size() >= kMaxVersions;
}

constexpr absl::string_view kUnreadable = "bebr/unreadable";

// An error that says where in the log a record is that cannot be read. What is as it was written, and of this release,
// will be the same when it is read again.
absl::Status Unread(uint64_t position, const absl::Status& why, bool as_written) {
  absl::Status error(why.code(), absl::StrFormat("position %d of the log: %s", position, why.message()));
  if (as_written && absl::IsDataLoss(why)) error.SetPayload(kUnreadable, absl::Cord());
  return error;
}

bool Lists(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

absl::Status NoCollection(std::string_view name) {
  return absl::NotFoundError(absl::StrFormat("there is no collection \"%s\"", name));
}

ChangeOutcome OutcomeOf(MutationResult result) {
  return {.status = std::move(result.refused),
          .documents = result.documents,
          .created = result.created,
          .unknown_ids = std::move(result.unknown_ids),
          .skipped_ids = std::move(result.skipped_ids)};
}

}  // namespace

Applier::Applier(LogEngine* engine, std::string data_dir, FollowerState state, Outcomes* outcomes,
                 Comparisons* comparisons, KeptSnapshots* snapshots)
    : engine_(*engine),
      data_dir_(std::move(data_dir)),
      state_(std::move(state)),
      outcomes_(*outcomes),
      comparisons_(*comparisons),
      snapshots_(*snapshots),
      kept_(state_.place.position) {
  MutexLock lock(&mutex_);
  revisions_ = state_.collections;
}

bool Applier::NobodyCanRead(const absl::Status& error) { return error.GetPayload(kUnreadable).has_value(); }

std::optional<uint64_t> Applier::Revision(std::string_view collection) const {
  MutexLock lock(&mutex_);
  const auto it = revisions_.find(collection);
  return it == revisions_.end() ? std::nullopt : std::optional<uint64_t>(it->second);
}

absl::Status Applier::Save() {
  BEBR_RETURN_IF_ERROR(WriteFollowerState(data_dir_, state_));
  kept_ = state_.place.position;
  return absl::OkStatus();
}

absl::Status Applier::SetLog(uint64_t identity) {
  state_.log = identity;
  return Save();
}

absl::Status Applier::Adopt(const std::string& directory) {
  BEBR_ASSIGN_OR_RETURN(FetchedSeed seed, ReadFetchedSeed(directory));
  state_.filling = true;
  BEBR_RETURN_IF_ERROR(Save());
  pending_.clear();
  applied_.clear();
  Engine& engine = engine_.engine();
  for (const Alias& alias : engine.ListAliases()) BEBR_RETURN_IF_ERROR(engine.DeleteAlias(alias.name));
  std::vector<std::string> names = engine.ListCollections();
  for (UnavailableCollection& damaged : engine.UnavailableCollections()) names.push_back(std::move(damaged.name));
  for (const std::string& name : names) {
    comparisons_.Forget(name);  // it would keep the files
    BEBR_RETURN_IF_ERROR(engine.DeleteCollection(name));
  }
  for (const auto& [name, revision] : seed.state.collections)
    BEBR_RETURN_IF_ERROR(engine_.RestoreCopy(name, absl::StrCat(directory, "/", name)));
  for (const Alias& alias : seed.aliases)
    BEBR_RETURN_IF_ERROR(engine.SetAlias(alias.name, alias.collection, std::nullopt));
  const uint64_t log = state_.log;
  state_ = std::move(seed.state);
  state_.log = log;  // the seed's place is in it
  state_.filling = false;
  state_.quarantined.clear();
  BEBR_RETURN_IF_ERROR(Save());
  MutexLock lock(&mutex_);
  revisions_ = state_.collections;
  return absl::OkStatus();
}

absl::Status Applier::Quarantine(std::string_view why) {
  state_.quarantined = why;
  return Save();
}

absl::StatusOr<LogPlace> Applier::Furthest() {
  LogPlace furthest = state_.place;
  for (const auto& [name, revision] : state_.collections) {
    const auto bytes = engine_.Applied(name);
    if (!bytes.ok()) continue;  // it is dropped at a place that comes, or cannot be opened
    BEBR_ASSIGN_OR_RETURN(const LogPlace place, DecodePlace(*bytes));
    if (place.position > furthest.position) furthest = place;
  }
  return furthest;
}

absl::Status Applier::Apply(const LogPage& page) {
  pending_.clear();
  missing_snapshot_.reset();
  size_t next = 0;
  LogPlace before = state_.place;
  for (const LogPlace& place : page.places) {
    outcomes_.Note(place);
    std::vector<Located> changes;
    for (; next < page.entries.size() && page.entries[next].position == place.position; ++next) {
      auto read = DecodeLogChanges(page.entries[next].bytes);
      if (!read.ok()) {
        return Unread(place.position, read.status(), HasItsChecksum(page.entries[next].bytes));
      }
      for (size_t i = 0; i < read->size(); ++i)
        changes.push_back({{place.position, static_cast<uint32_t>(i)}, std::move((*read)[i])});
    }
    BEBR_RETURN_IF_ERROR(ApplyAppend(before, place, std::move(changes)));
    before = place;
  }
  BEBR_RETURN_IF_ERROR(FlushAll());
  state_.place = page.place;
  return absl::OkStatus();
}

absl::Status Applier::ApplyAppend(const LogPlace& before, const LogPlace& place, std::vector<Located> changes) {
  if (changes.size() == 1 && IsBarrier(changes[0].change)) {
    BEBR_RETURN_IF_ERROR(FlushAll());
    state_.place = before;
    return ApplyBarrier(place, changes[0]);
  }
  // The limit on what an update reads is of documents as they are before the group: so an append with one is alone.
  const bool updates = std::any_of(changes.begin(), changes.end(), [](const Located& located) {
    return located.change.kind == LogChangeKind::kDocuments;
  });
  if (updates) BEBR_RETURN_IF_ERROR(FlushAll());
  for (Located& located : changes) {
    if (IsBarrier(located.change)) {
      return absl::DataLossError(
          absl::StrFormat("position %d of the log has a change that must be alone beside others", place.position));
    }
    BEBR_RETURN_IF_ERROR(ApplyDocuments(place, std::move(located)));
  }
  return updates ? FlushAll() : absl::OkStatus();
}

absl::Status Applier::ApplyDocuments(const LogPlace& place, Located located) {
  // A change of documents may name an alias; as it is now.
  const std::string name = located.change.kind == LogChangeKind::kMutations
                               ? located.change.name
                               : engine_.engine().Resolve(located.change.name);
  const ChangeKey key = located.key;
  if (!state_.collections.contains(name)) {
    outcomes_.Add(key, {.status = NoCollection(name)});
    return absl::OkStatus();
  }
  BEBR_ASSIGN_OR_RETURN(const bool done, HasApplied(name, place.position));
  if (done) return absl::OkStatus();
  if (located.change.kind == LogChangeKind::kDocuments && located.change.ids.empty())
    return ApplyFiltered(place, name, std::move(located));
  if (located.change.kind == LogChangeKind::kMutations) {
    // What cannot be read, or is of a later release, is no refusal: another replica might apply it.
    auto read = DecodeLogRecord(std::move(located.change.record));
    if (!read.ok()) return Unread(place.position, read.status(), /*as_written=*/true);
    if ((*read)->revision != state_.collections[name]) {
      outcomes_.Add(
          key,
          {.status = absl::AbortedError(absl::StrFormat(
               "the versions of collection \"%s\" have changed since this was encoded; nothing was written", name))});
      return absl::OkStatus();
    }
    Add(name, key, place, {.mutations = std::move((*read)->mutations), .owner = *read});
    return absl::OkStatus();
  }
  auto request = RequestOf(name, std::move(located.change));
  if (absl::IsInvalidArgument(request.status())) {
    outcomes_.Add(key, {.status = request.status()});
    return absl::OkStatus();
  }
  BEBR_RETURN_IF_ERROR(request.status());
  Add(name, key, place, *std::move(request));
  return absl::OkStatus();
}

void Applier::Add(const std::string& collection, const ChangeKey& key, const LogPlace& place, LoggedRequest request) {
  Pending& pending = pending_[collection];
  pending.requests.push_back(std::move(request));
  pending.keys.push_back(key);
  pending.place = place;
}

absl::StatusOr<LoggedRequest> Applier::RequestOf(const std::string& collection, LogChange change) {
  if (change.attributes.has_value()) BEBR_RETURN_IF_ERROR(engine_.CheckUpdate(collection, *change.attributes));
  auto owned = std::make_shared<const LogChange>(std::move(change));
  LoggedRequest request{.mutations = {}, .owner = owned};
  for (const std::string& id : owned->ids) {
    BEBR_RETURN_IF_ERROR(ValidateId("ids", id));
    Mutation& mutation = request.mutations.emplace_back();
    mutation.kind = owned->attributes.has_value() ? MutationKind::kUpdate : MutationKind::kDelete;
    mutation.id = id;
    if (owned->attributes.has_value()) mutation.change = &*owned->attributes;
  }
  return request;
}

absl::Status Applier::ApplyFiltered(const LogPlace& place, const std::string& collection, Located located) {
  LogChange& change = located.change;
  if (change.attributes.has_value()) {
    if (absl::Status wrong = engine_.CheckUpdate(collection, *change.attributes); !wrong.ok()) {
      if (!absl::IsInvalidArgument(wrong)) return wrong;
      outcomes_.Add(located.key, {.status = std::move(wrong)});
      return absl::OkStatus();
    }
  }
  BEBR_RETURN_IF_ERROR(Flush(collection));
  BEBR_ASSIGN_OR_RETURN(
      MutationResult result,
      engine_.ApplyToSelected(collection, change.filter, std::move(change.attributes), EncodePlace(place)));
  outcomes_.Add(located.key, OutcomeOf(std::move(result)));
  applied_[collection] = place.position;
  return absl::OkStatus();
}

absl::StatusOr<bool> Applier::HasApplied(const std::string& collection, uint64_t position) {
  auto it = applied_.find(collection);
  if (it == applied_.end()) {
    BEBR_ASSIGN_OR_RETURN(const std::string bytes, engine_.Applied(collection));
    BEBR_ASSIGN_OR_RETURN(const LogPlace place, DecodePlace(bytes));
    it = applied_.emplace(collection, place.position).first;
  }
  return position <= it->second;
}

absl::Status Applier::Flush(const std::string& collection) {
  const auto it = pending_.find(collection);
  if (it == pending_.end()) return absl::OkStatus();
  Pending pending = std::exchange(it->second, {});
  if (pending.requests.empty()) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(auto results,
                        engine_.Apply(collection, std::move(pending.requests), EncodePlace(pending.place)));
  for (size_t i = 0; i < results.size(); ++i) outcomes_.Add(pending.keys[i], OutcomeOf(std::move(results[i])));
  applied_[collection] = pending.place.position;
  return absl::OkStatus();
}

absl::Status Applier::FlushAll() {
  for (auto& [name, pending] : pending_) BEBR_RETURN_IF_ERROR(Flush(name));
  pending_.clear();
  return absl::OkStatus();
}

absl::Status Applier::ApplyBarrier(const LogPlace& place, const Located& located) {
  const LogChange& change = located.change;
  if (change.kind == LogChangeKind::kCompare || change.kind == LogChangeKind::kSnapshot ||
      change.kind == LogChangeKind::kDropSnapshot) {
    outcomes_.Add(located.key, Keep(place.position, change));
    state_.place = place;
    return absl::OkStatus();
  }
  comparisons_.Forget(change.name);
  // One that was made before a crash, or in part before a fault of the disk, is refused now: nobody is told.
  const bool again = state_.barrier == place.position;
  state_.barrier = place.position;
  BEBR_RETURN_IF_ERROR(Save());
  BEBR_ASSIGN_OR_RETURN(ChangeOutcome outcome, Make(change));
  // Its place is this one, whatever the snapshot's was, of this log or another.
  if (change.kind == LogChangeKind::kRestore && (outcome.status.ok() || again) &&
      Lists(engine_.engine().ListCollections(), change.name))
    BEBR_RETURN_IF_ERROR(engine_.Apply(change.name, {}, EncodePlace(place)).status());
  if (!again) outcomes_.Add(located.key, std::move(outcome));
  // Made or refused, now or before: what was encoded before it is to be encoded again.
  if (change.kind != LogChangeKind::kSetAlias && change.kind != LogChangeKind::kDeleteAlias) {
    const std::string name = engine_.engine().Resolve(change.name);
    applied_.erase(name);
    if (Lists(engine_.engine().ListCollections(), name)) {
      state_.collections[name] = place.position;
    } else {
      state_.collections.erase(name);
    }
    MutexLock lock(&mutex_);
    revisions_ = state_.collections;
  }
  state_.place = place;
  return Save();
}

ChangeOutcome Applier::Keep(uint64_t position, const LogChange& change) {
  if (change.kind == LogChangeKind::kDropSnapshot) {
    DropSnapshot(change);
    return {};
  }
  if (!state_.collections.contains(change.name)) return {.status = NoCollection(change.name)};
  // Where this node alone cannot, it says so when it is asked for it.
  if (change.kind == LogChangeKind::kSnapshot) {
    KeepSnapshot(position, change);
  } else if (auto seen = engine_.See(change.name); seen.ok()) {
    comparisons_.Add(position, change.name, *std::move(seen));
  }
  return {};
}

absl::StatusOr<ChangeOutcome> Applier::Make(const LogChange& change) {
  Engine& engine = engine_.engine();
  // A collection that this node alone cannot open would look as if there were none.
  const bool restores = change.kind == LogChangeKind::kRestore;  // of what need not be there any more
  for (const std::string& name : {change.name, restores ? std::string() : change.target}) {
    if (absl::Status found = engine.GetCollection(name).status(); IsOwnError(found)) return found;
  }
  absl::Status made;
  switch (change.kind) {
    case LogChangeKind::kCreateCollection:
      made = engine.CreateCollection(change.collection, change.model);
      break;
    case LogChangeKind::kDropCollection:
      made = engine.DeleteCollection(change.name);
      break;
    case LogChangeKind::kAddVersion:
      made = engine.AddVersion(change.name, change.version, change.model);
      break;
    case LogChangeKind::kPromoteVersion:
      made = engine.PromoteVersion(change.name, change.version.name, change.expected.value_or(""), change.force);
      break;
    case LogChangeKind::kRetireVersion:
      made = engine.RetireVersion(change.name, change.version.name);
      break;
    case LogChangeKind::kSetAlias:
      made = engine.SetAlias(change.name, change.target, change.expected);
      break;
    case LogChangeKind::kDeleteAlias:
      made = engine.DeleteAlias(change.name);
      break;
    case LogChangeKind::kRestore:
      made = Restore(change);
      break;
    default:
      return absl::InternalError("a change of documents is no barrier");
  }
  if (IsOwnError(made) || (!made.ok() && !IsRefusal(made) && !IsFull(engine, change))) return made;
  return ChangeOutcome{.status = std::move(made)};
}

}  // namespace bebr
