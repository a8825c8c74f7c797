// Snapshots of a replicated cluster: each is of one position of the log, and every replica has its share's.
#include <algorithm>
#include <map>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "index/base/status_macros.h"
#include "index/catalog/manifest.h"
#include "index/cluster/replicated_engine_impl.h"

namespace bebr {
namespace {

constexpr absl::Duration kMostReading = absl::Hours(24);           // all of a snapshot, by a node
constexpr absl::Duration kLookTime = absl::Seconds(3);             // one look: a replica that hangs holds up no others
constexpr absl::Duration kLookInterval = absl::Milliseconds(100);  // whether it is there

bool IsOne(const SnapshotInfo& info, const SnapshotInfo& which) {
  return info.collection == which.collection && info.name == which.name && info.position == which.position;
}

std::string ToldBy(const NodePlace& place, absl::string_view what) {
  return absl::StrFormat("node %s: %s", place.name, what);
}

std::string SlotsOf(const NodePlace& place) {
  return absl::StrFormat("slots %d-%d", place.first_slot, place.last_slot);
}

LogChange DropOf(const SnapshotInfo& which) {
  return {.kind = LogChangeKind::kDropSnapshot,
          .name = which.collection,
          .snapshot = which.name,
          .snapshot_position = which.position};
}

// A free name: the one that is asked for, or the time.
absl::StatusOr<std::string> NameFor(std::string_view asked, absl::Time now, const std::vector<SnapshotInfo>& there) {
  const auto taken = [&](const std::string& name) {
    return std::any_of(there.begin(), there.end(), [&](const SnapshotInfo& info) { return info.name == name; });
  };
  if (!asked.empty()) {
    BEBR_RETURN_IF_ERROR(ValidateName("snapshot", asked));
    if (!taken(std::string(asked))) return std::string(asked);
    return absl::AlreadyExistsError(
        absl::StrFormat("collection \"%s\" has a snapshot \"%s\" already", there.front().collection, asked));
  }
  const std::string time = absl::FormatTime("%Y%m%d-%H%M%S", now, absl::UTCTimeZone());
  std::string name = time;
  for (int n = 2; taken(name); ++n) name = absl::StrCat(time, "-", n);
  return name;
}

}  // namespace

absl::Status ReplicatedEngine::OfEveryShare(const std::function<absl::Status(size_t)>& body) {
  std::vector<absl::Status> outcomes(sets_.size());
  ThreadPool shares(sets_.size());
  shares.ParallelFor(sets_.size(), [&](size_t share) { outcomes[share] = body(share); });
  absl::Status all;
  for (absl::Status& outcome : outcomes) all.Update(std::move(outcome));
  return all;
}

absl::Status ReplicatedEngine::AwaitSnapshot(size_t share, SnapshotInfo& all, Mutex& mutex) {
  const SnapshotInfo which = [&] {
    MutexLock lock(&mutex);
    return all;
  }();
  const SteadyTime end = SteadyNow() + kMostReading;
  SteadyTime patience = SteadyNow() + timeout_;
  for (;;) {
    std::vector<std::string> problems;
    bool making = false, missed = false;
    for (const auto& [place, snapshots] :
         sets_[share]->Snapshots(which.collection, which.position, SteadyNow() + kLookTime)) {
      if (!snapshots.ok()) problems.push_back(ToldBy(place, snapshots.status().message()));
      if (!snapshots.ok()) continue;
      for (const ReplicaSnapshot& one : *snapshots) {
        if (!IsOne(one.info, which)) continue;
        making |= one.making;
        missed |= !one.info.problem.empty();
        if (!one.info.problem.empty()) problems.push_back(ToldBy(place, one.info.problem));
        if (one.making || !one.info.problem.empty()) continue;
        MutexLock lock(&mutex);
        all.documents += one.info.documents;
        all.bytes += one.info.bytes;
        return absl::OkStatus();
      }
    }
    const SteadyTime now = SteadyNow();
    if (making) patience = now + timeout_;
    if (*ending_ || now >= end || (!making && (missed || now >= patience))) {
      return absl::UnavailableError(absl::StrFormat("no replica of %s has made the snapshot: %s",
                                                    SlotsOf(sets_[share]->place()), absl::StrJoin(problems, "; ")));
    }
    absl::SleepFor(kLookInterval);
  }
}

absl::StatusOr<SnapshotInfo> ReplicatedEngine::CreateSnapshot(std::string_view collection, std::string_view name) {
  SnapshotInfo made{.collection = Resolve(collection)};
  BEBR_ASSIGN_OR_RETURN(const auto there, ListSnapshots(made.collection));
  made.created = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()));
  BEBR_ASSIGN_OR_RETURN(made.name, NameFor(name, made.created, there));
  BEBR_ASSIGN_OR_RETURN(made.position, Made({.kind = LogChangeKind::kSnapshot,
                                             .name = made.collection,
                                             .snapshot = made.name,
                                             .created_unix_us = absl::ToUnixMicros(made.created)}));
  Mutex mutex;
  absl::Status kept = OfEveryShare([&](size_t share) { return AwaitSnapshot(share, made, mutex); });
  if (kept.ok()) return made;
  Barrier(DropOf(made)).IgnoreError();  // what others have made is of no use; the list shows it where this fails
  return kept;
}

// Snapshots as the shares' replicas have them.
class ReplicatedEngine::FoundSnapshots {
 public:
  explicit FoundSnapshots(const std::vector<ReplicaSet*>& sets) : sets_(sets) {}

  void Add(size_t share, const SnapshotInfo& info) {
    MutexLock lock(&mutex_);
    Found& found = all_[{info.collection, info.name, info.position}];
    found.shares.resize(sets_.size());
    if (found.shares[share]) return;
    found.shares[share] = true;
    const uint64_t documents = found.info.documents + info.documents, bytes = found.info.bytes + info.bytes;
    found.info = info;
    found.info.documents = documents;
    found.info.bytes = bytes;
  }

  // All of them, with what is missing of each.
  std::vector<SnapshotInfo> Take() {
    std::vector<SnapshotInfo> infos;
    MutexLock lock(&mutex_);
    for (auto& [key, found] : all_) {
      std::vector<std::string> missing;
      for (size_t share = 0; share < sets_.size(); ++share) {
        if (!found.shares[share]) missing.push_back(SlotsOf(sets_[share]->place()));
      }
      if (!missing.empty())
        found.info.problem = absl::StrFormat("no replica that answers has %s of it", absl::StrJoin(missing, ", "));
      infos.push_back(std::move(found.info));
    }
    return infos;
  }

 private:
  struct Found {
    SnapshotInfo info;
    std::vector<bool> shares;  // that have it
  };
  const std::vector<ReplicaSet*>& sets_;
  Mutex mutex_;
  std::map<std::tuple<std::string, std::string, uint64_t>, Found> all_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::vector<SnapshotInfo>> ReplicatedEngine::ListSnapshots(std::string_view collection) {
  FoundSnapshots found(sets_);
  const absl::Status asked = OfEveryShare([&](size_t share) {
    bool answers = false;
    absl::Status error;
    for (const auto& [place, snapshots] :
         sets_[share]->Snapshots(std::string(collection), /*position=*/0, SteadyNow() + timeout_)) {
      answers |= snapshots.ok();
      if (!snapshots.ok()) error = absl::Status(snapshots.status().code(), ToldBy(place, snapshots.status().message()));
      if (!snapshots.ok()) continue;
      for (const ReplicaSnapshot& one : *snapshots) {
        if (!one.making && one.info.problem.empty()) found.Add(share, one.info);
      }
    }
    return answers ? absl::OkStatus() : error;
  });
  std::vector<SnapshotInfo> infos = found.Take();
  if (infos.empty()) BEBR_RETURN_IF_ERROR(asked);
  return infos;
}

absl::Status ReplicatedEngine::CheckShareOf(size_t share, const SnapshotInfo& which) {
  bool whole = false;
  absl::Status wrong;
  for (const auto& [place, checked] : sets_[share]->CheckSnapshot(which, SteadyNow() + kMostReading)) {
    if (absl::IsResourceExhausted(checked)) return absl::ResourceExhaustedError(ToldBy(place, checked.message()));
    whole |= checked.ok();
    if (!checked.ok()) wrong = absl::Status(checked.code(), ToldBy(place, checked.message()));
  }
  return whole ? absl::OkStatus() : wrong;
}

absl::Status ReplicatedEngine::RestoreSnapshot(std::string_view collection, std::string_view name,
                                               std::string_view new_collection) {
  BEBR_RETURN_IF_ERROR(ValidateName("collection", collection));
  BEBR_RETURN_IF_ERROR(ValidateName("snapshot", name));
  BEBR_RETURN_IF_ERROR(ValidateName("new_collection", new_collection));
  BEBR_ASSIGN_OR_RETURN(const auto there, ListSnapshots(collection));
  const SnapshotInfo* found = nullptr;  // a whole one before others, a later one before others
  std::vector<std::string> names;
  for (const SnapshotInfo& info : there) {
    names.push_back(info.name);
    if (info.name == name && (found == nullptr || info.problem.empty() || !found->problem.empty())) found = &info;
  }
  if (found == nullptr) {
    return absl::NotFoundError(absl::StrFormat("collection \"%s\" has no snapshot \"%s\"; it has: %s", collection, name,
                                               names.empty() ? "none" : absl::StrJoin(names, ", ")));
  }
  if (!found->problem.empty()) return absl::UnavailableError(found->problem);
  BEBR_RETURN_IF_ERROR(OfEveryShare([&](size_t share) { return CheckShareOf(share, *found); }));
  uint64_t placed = 0;
  absl::Status restored = Made({.kind = LogChangeKind::kRestore,
                                .name = std::string(new_collection),
                                .target = found->collection,
                                .snapshot = found->name,
                                .snapshot_position = found->position},
                               &placed)
                              .status();
  if (!absl::IsUnavailable(restored) || placed == 0) return restored;
  return absl::UnavailableError(absl::StrFormat(
      "the restore goes on beyond cluster_timeout_s, and is not to be begun again: it is made by replicas as they come "
      "to position %d of the log, which `bebr cluster status` shows; then there is a collection \"%s\" (`bebr stats`), "
      "or the restore was refused (their logs say why): %s",
      placed, new_collection, restored.message()));
}

absl::Status ReplicatedEngine::DeleteSnapshot(std::string_view collection, std::string_view name) {
  BEBR_RETURN_IF_ERROR(ValidateName("collection", collection));
  BEBR_RETURN_IF_ERROR(ValidateName("snapshot", name));
  BEBR_ASSIGN_OR_RETURN(const auto there, ListSnapshots(collection));
  bool found = false;
  for (const SnapshotInfo& info : there) {
    if (info.name != name) continue;
    found = true;
    BEBR_ASSIGN_OR_RETURN(const uint64_t position, Made(DropOf(info)));
    // Others have it no more either, when this ends, but for those that are behind for longer.
    for (ReplicaSet* set : sets_) set->Snapshots(info.collection, position, SteadyNow() + timeout_);
  }
  if (found) return absl::OkStatus();
  return absl::NotFoundError(absl::StrFormat("collection \"%s\" has no snapshot \"%s\"", collection, name));
}

}  // namespace bebr
