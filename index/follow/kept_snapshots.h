// A node's share of the cluster's snapshots.
#ifndef BEBR_INDEX_FOLLOW_KEPT_SNAPSHOTS_H_
#define BEBR_INDEX_FOLLOW_KEPT_SNAPSHOTS_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/base/thread_pool.h"
#include "index/log_engine.h"
#include "index/types/collection.h"
#include "index/types/replication.h"

namespace bebr {

// KeptSnapshots makes the snapshots that the log asks for, each in two steps: where the log is followed the collection
// is copied as it is there, large files by hard links; then a thread makes a snapshot of the copy, as the files must be
// read for their checksums, and may have to be copied to another disk. Such a snapshot is one of the engine's, with a
// position, which tells it from others of its name. What fails is told by List, and the node goes on: other replicas
// have it.
//
// Ownership: the engine is borrowed. Thread safety: all methods may be called from any thread; while Begin copies
// nothing must change the collection.
class KeptSnapshots {
 public:
  // Removes what a process before left in making.
  KeptSnapshots(LogEngine* engine, const std::string& data_dir, uint32_t first_slot, uint32_t last_slot);
  // Ends what is being made.
  ~KeptSnapshots();

  // Begins to keep the collection, as it is now, under the name and position.
  void Begin(SnapshotInfo which);
  // Notes that the node will not have it.
  void Miss(SnapshotInfo which, absl::string_view why);
  // Removes it, or what is left of it; what fails is told in the server's log.
  void Remove(const SnapshotInfo& which);

  // With a position, of one collection or all (""): those that are here, are being made, or could not be.
  absl::StatusOr<std::vector<ReplicaSnapshot>> List(const std::string& collection);
  // Where it is; waits while it is being made. NOT_FOUND if it is not here, or has the documents of other slots.
  absl::StatusOr<std::string> PathOf(const SnapshotInfo& which);
  // Reads all of it, but once in a while. DATA_LOSS says what is damaged.
  absl::Status Check(const SnapshotInfo& which);
  // Also RESOURCE_EXHAUSTED, if it could not be restored for want of room.
  absl::Status CheckRestorable(const SnapshotInfo& which);
  // Makes a collection of it, which was checked.
  absl::Status Restore(const SnapshotInfo& which, std::string_view new_collection);
  // Where another replica's is to be fetched into; and takes over what came, once it has read all of it.
  const std::string& fetching() const { return fetching_; }
  absl::Status TakeOver(const SnapshotInfo& which, const std::string& directory);

 private:
  static constexpr size_t kMostMissed = 100;
  static constexpr absl::Duration kCheckHolds = absl::Minutes(10);
  using Key = std::tuple<std::string, std::string, uint64_t>;
  static Key KeyOf(const SnapshotInfo& which) { return {which.collection, which.name, which.position}; }
  // With the node's slots.
  SnapshotInfo Own(SnapshotInfo which) const {
    which.first_slot = first_slot_;
    which.last_slot = last_slot_;
    return which;
  }
  void Make(const SnapshotInfo& which, const std::string& directory);
  void AwaitMade(const SnapshotInfo& which);

  LogEngine& engine_;
  const std::string root_, fetching_;
  const uint32_t first_slot_, last_slot_;
  std::atomic<bool> ending_{false};
  Mutex mutex_;
  CondVar made_;
  std::map<Key, SnapshotInfo> making_ ABSL_GUARDED_BY(mutex_);
  std::deque<SnapshotInfo> missed_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, SteadyTime> checked_ ABSL_GUARDED_BY(mutex_);
  ThreadPool maker_{1};  // ends first
};

}  // namespace bebr

#endif  // BEBR_INDEX_FOLLOW_KEPT_SNAPSHOTS_H_
