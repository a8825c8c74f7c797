#ifndef BEBR_INDEX_CATALOG_SNAPSHOTS_H_
#define BEBR_INDEX_CATALOG_SNAPSHOTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace bebr {

// A collection as it was at one moment.
struct SnapshotInfo {
  std::string collection;
  std::string name;
  absl::Time created;
  uint64_t documents = 0;
  uint64_t bytes = 0;  // of files, also those that are shared with the collection by hard links
};

// The Snapshots of a server: directories ROOT/COLLECTION/NAME, laid out like a collection's own (FORMAT.md). A snapshot
// is there wholly or not at all, and outlives its collection.
//
// Thread safety: none; the engine calls it under its lock.
class Snapshots {
 public:
  // Removes what an interrupted creation left behind.
  static absl::StatusOr<std::unique_ptr<Snapshots>> Open(std::string root);

  // Copies the models of the collection in `from`, calls `fill` with the new directory to write the rest, then makes
  // the snapshot known. ALREADY_EXISTS if there is one of that name.
  absl::StatusOr<SnapshotInfo> Create(const SnapshotInfo& info, const std::string& from,
                                      const std::function<absl::Status(const std::string&)>& fill);
  // Of one collection, or of all where the name is empty; by collection, then name.
  absl::StatusOr<std::vector<SnapshotInfo>> List(std::string_view collection) const;
  // The directory. NOT_FOUND names the snapshots there are.
  absl::StatusOr<std::string> Find(std::string_view collection, std::string_view name) const;
  // What List says of one. NOT_FOUND as Find.
  absl::StatusOr<SnapshotInfo> Info(std::string_view collection, std::string_view name) const;
  absl::Status Remove(std::string_view collection, std::string_view name);

 private:
  explicit Snapshots(std::string root) : root_(std::move(root)) {}
  std::string Path(std::string_view collection, std::string_view name) const;

  const std::string root_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_SNAPSHOTS_H_
