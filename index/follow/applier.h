// Applies what the log says to a node's engine.
#ifndef BEBR_INDEX_FOLLOW_APPLIER_H_
#define BEBR_INDEX_FOLLOW_APPLIER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/follow/comparisons.h"
#include "index/follow/follower_state.h"
#include "index/follow/kept_snapshots.h"
#include "index/follow/outcomes.h"
#include "index/log/log.h"
#include "index/log_engine.h"
#include "index/replica/log_change.h"

namespace bebr {

// An Applier applies pages of the log in their order. What the engine holds at a position depends on the log up to
// there and on nothing else. Documents' changes and the place that they bring a collection to are one batch of its
// store. A change of a collection as a whole, of a version or an alias is a barrier: all before it is applied, and the
// state file says so, before it begins, and says that it was made before anything after it begins; so after a crash at
// most that one is made again, and finds that it was made.
//
// Errors of Apply: those of the log's records, and of the disk. Then everything before place() has been applied, and
// the same pages may be applied again from there; but where NobodyCanRead says so no server ever can. Ownership:
// engine, outcomes, comparisons and snapshots are borrowed. Thread safety: one thread at a time, but for Revision and
// kept.
class Applier {
 public:
  // Whether an error of Apply is of a record that is as it was written, and says nothing that can be read.
  static bool NobodyCanRead(const absl::Status& error);

  Applier(LogEngine* engine, std::string data_dir, FollowerState state, Outcomes* outcomes, Comparisons* comparisons,
          KeptSnapshots* snapshots);

  const LogPlace& place() const { return state_.place; }
  // The furthest place that a collection's store has: beyond place() after a crash.
  absl::StatusOr<LogPlace> Furthest();
  absl::Status Apply(const LogPage& page);
  // Position of the last change of a collection or its versions; nullopt: there is no such collection.
  std::optional<uint64_t> Revision(std::string_view collection) const;
  absl::Status Save();
  // Notes which log it follows from now on.
  absl::Status SetLog(uint64_t identity);
  // Up to here the log is needed no more, after a crash either: what Save said last.
  uint64_t kept() const { return kept_; }
  // As of place().
  const FollowerState& state() const { return state_; }
  // Where Apply has failed since a snapshot is not here, of which a collection is to be made: which one.
  const std::optional<SnapshotInfo>& missing_snapshot() const { return missing_snapshot_; }
  // Replaces all there is by the seed that was fetched into the directory. Called again after an error, or a crash, it
  // begins again: until it ends nothing else may be done.
  absl::Status Adopt(const std::string& directory);
  // Notes that the node must be filled anew.
  absl::Status Quarantine(std::string_view why);

 private:
  // Requests of a collection that are to be committed together.
  struct Pending {
    std::vector<LoggedRequest> requests;
    std::vector<ChangeKey> keys;
    LogPlace place;
  };
  // A change, where it is.
  struct Located {
    ChangeKey key;
    LogChange change;
  };
  // `before`: the append before it.
  absl::Status ApplyAppend(const LogPlace& before, const LogPlace& place, std::vector<Located> changes);
  absl::Status ApplyBarrier(const LogPlace& place, const Located& located);
  absl::Status ApplyDocuments(const LogPlace& place, Located located);
  absl::Status ApplyFiltered(const LogPlace& place, const std::string& collection, Located located);
  void Add(const std::string& collection, const ChangeKey& key, const LogPlace& place, LoggedRequest request);
  // Of a change of named documents. INVALID_ARGUMENT: every replica refuses it.
  absl::StatusOr<LoggedRequest> RequestOf(const std::string& collection, LogChange change);
  // Makes what a barrier says, or is refused; an error is one of the disk.
  absl::StatusOr<ChangeOutcome> Make(const LogChange& change);
  // snapshot_changes.cc
  absl::Status Restore(const LogChange& change);
  void KeepSnapshot(uint64_t position, const LogChange& change);
  void DropSnapshot(const LogChange& change);
  // What changes no collection: keeps how one is at a position, for who compares replicas or as a snapshot, or drops a
  // snapshot.
  ChangeOutcome Keep(uint64_t position, const LogChange& change);
  // Whether the collection's store has what stands at the position.
  absl::StatusOr<bool> HasApplied(const std::string& collection, uint64_t position);
  absl::Status Flush(const std::string& collection);
  absl::Status FlushAll();

  LogEngine& engine_;
  const std::string data_dir_;
  FollowerState state_;
  Outcomes& outcomes_;
  Comparisons& comparisons_;
  KeptSnapshots& snapshots_;
  std::optional<SnapshotInfo> missing_snapshot_;
  std::map<std::string, Pending> pending_;
  std::map<std::string, uint64_t> applied_;  // of collections: what their stores say
  std::atomic<uint64_t> kept_;
  mutable Mutex mutex_;
  std::map<std::string, uint64_t, std::less<>> revisions_ ABSL_GUARDED_BY(mutex_);  // as of state_, for Revision
};

}  // namespace bebr

#endif  // BEBR_INDEX_FOLLOW_APPLIER_H_
