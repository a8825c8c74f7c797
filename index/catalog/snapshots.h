// Snapshots of collections as directories on disk.
#ifndef BEBR_INDEX_CATALOG_SNAPSHOTS_H_
#define BEBR_INDEX_CATALOG_SNAPSHOTS_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/base/mutex.h"
#include "index/types/collection.h"

namespace bebr {

// The Snapshots of a server: directories ROOT/COLLECTION/NAME, laid out like a collection's own (FORMAT.md). A snapshot
// is there wholly or not at all, and outlives its collection.
//
// Thread safety: all methods may be called from any thread. Creating and removing one of the same name at the same time
// is refused with ABORTED.
class Snapshots {
 public:
  // Removes what an interrupted creation left behind.
  static absl::StatusOr<std::unique_ptr<Snapshots>> Open(std::string root);

  // Copies the models of the collection in `from`, where it is not empty, calls `fill` with the new directory to write
  // the rest, which may set info.documents, then makes the snapshot known. ALREADY_EXISTS if there is one of that name.
  absl::StatusOr<SnapshotInfo> Create(const SnapshotInfo& info, const std::string& from,
                                      const std::function<absl::Status(const std::string&)>& fill);
  // Of one collection, or of all where the name is empty; by collection, then name. Broken ones are passed over with a
  // warning; Info says what is wrong with one. UNAVAILABLE if the disk fails: then nothing is passed over.
  absl::StatusOr<std::vector<SnapshotInfo>> List(std::string_view collection) const;
  // When the newest snapshot of each collection that has one was made. Reads one small file a snapshot.
  std::map<std::string, absl::Time> Newest() const;
  // The same of one collection; InfinitePast: it has none.
  absl::Time NewestOf(const std::string& collection) const;
  // The directory. NOT_FOUND names the snapshots there are.
  absl::StatusOr<std::string> Find(std::string_view collection, std::string_view name) const;
  // What List says of one. NOT_FOUND as Find.
  absl::StatusOr<SnapshotInfo> Info(std::string_view collection, std::string_view name) const;
  absl::Status Remove(std::string_view collection, std::string_view name);

  // What List says of one that lies in a directory of its own, under these names.
  static absl::StatusOr<SnapshotInfo> Read(const std::string& directory, std::string_view collection,
                                           std::string_view name);
  // Copies the models of the collection in the directory `from` into `to`.
  static absl::Status CopyModels(const std::string& from, const std::string& to);

  // Reads all files of the snapshot in a directory and compares them with the list in its snapshot.json. DATA_LOSS
  // names the first that is missing, changed or not of it. Snapshots of format 1 have no list: nothing is compared.
  static absl::Status Verify(const std::string& directory);

 private:
  explicit Snapshots(std::string root) : root_(std::move(root)) {}
  // Names that have a directory of snapshots. What may not be read is passed over with a warning.
  absl::StatusOr<std::vector<std::string>> Collections() const;
  std::string Path(std::string_view collection, std::string_view name) const;
  // Takes the snapshot for one caller who creates or removes it, until Release.
  absl::Status Claim(const std::string& path);
  void Release(const std::string& path);

  const std::string root_;
  Mutex mutex_;
  std::set<std::string> claimed_ ABSL_GUARDED_BY(mutex_);  // paths being made or removed
};

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_SNAPSHOTS_H_
