// Making snapshots of collections, and collections of snapshots.
#ifndef BEBR_INDEX_COLLECTION_BACKUPS_H_
#define BEBR_INDEX_COLLECTION_BACKUPS_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/base/mutex.h"
#include "index/catalog/snapshots.h"
#include "index/collection/capacity.h"
#include "index/collection/registry.h"
#include "index/types/collection.h"

namespace bebr {

// Backups makes snapshots of open collections, and collections of snapshots: what Engine's methods of the same names
// say.
//
// Ownership: the registry and the capacity are borrowed. Thread safety: all methods may be called from any thread.
class Backups {
 public:
  static absl::StatusOr<std::unique_ptr<Backups>> Open(std::string directory, Registry* registry, Capacity* capacity);

  absl::StatusOr<SnapshotInfo> Create(std::string_view collection, std::string_view name);
  absl::StatusOr<std::vector<SnapshotInfo>> List(std::string_view collection) const {
    return snapshots_->List(collection);
  }
  // A snapshot is not removed while one is restored: what is copied is whole.
  absl::Status Restore(std::string_view collection, std::string_view name, std::string_view new_collection);
  absl::Status Remove(std::string_view collection, std::string_view name);
  // Copies all of a collection as it is now into a new directory, laid out like a snapshot but for the list of its
  // files; searches go on. How many documents it has.
  absl::StatusOr<uint64_t> CopyTo(std::string_view collection, const std::string& directory);
  // Makes such a directory, which stays, the snapshot of the cluster that `info` says, in place of an older one of that
  // name; nothing if it is there. ALREADY_EXISTS if the server has one of its own.
  absl::Status Keep(const SnapshotInfo& info, const std::string& directory);
  // Where a cluster's snapshot is; NOT_FOUND if it is not, or is another one of the name: of another position or of
  // other slots.
  absl::StatusOr<std::string> PathOf(const SnapshotInfo& which) const;
  // RESOURCE_EXHAUSTED if a collection made of a snapshot would not fit.
  absl::Status CheckFits(const SnapshotInfo& which, Capacity& capacity) const;
  // Reads every block of such a directory. DATA_LOSS says what is damaged.
  static absl::Status CheckCopy(const std::string& directory);
  // Makes a collection of such a directory.
  absl::Status RestoreCopy(std::string_view collection, const std::string& directory);
  // When the newest snapshot of each collection that has one was made. From memory: snapshots that somebody copied here
  // meanwhile are not among them.
  std::map<std::string, absl::Time> Newest() const {
    MutexLock lock(&newest_mutex_);
    return newest_;
  }

 private:
  Backups(std::unique_ptr<Snapshots> snapshots, Registry* registry, Capacity* capacity)
      : snapshots_(std::move(snapshots)), registry_(registry), capacity_(capacity), newest_(snapshots_->Newest()) {}
  // Something has changed about the snapshots of the collection.
  void UpdateNewest(const std::string& collection);

  const std::unique_ptr<Snapshots> snapshots_;
  Registry* const registry_;
  Capacity* const capacity_;
  Mutex restore_mutex_;
  Mutex update_mutex_ ABSL_ACQUIRED_BEFORE(newest_mutex_);  // one at a time looks at the disk; who asks does not wait
  mutable Mutex newest_mutex_;
  std::map<std::string, absl::Time> newest_ ABSL_GUARDED_BY(newest_mutex_);
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_BACKUPS_H_
