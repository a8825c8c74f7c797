// Which files a store must have.
#ifndef BEBR_INDEX_STORAGE_STORE_FILES_H_
#define BEBR_INDEX_STORAGE_STORE_FILES_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bebr {

// What a store's directory must hold besides table files, whose names and sizes RocksDB's MANIFEST tells: the file
// FILES (FORMAT.md). RocksDB itself would take a log that is not there, or a MANIFEST of yesterday, for nothing to
// read.
//
// It is written after a log is made and before one is removed, with the MANIFEST as it is then, which says that the log
// is no longer needed; and once more when the store is closed, after which nothing may be missing from the logs' ends.
struct StoreFileList {
  uint64_t manifest = 0;  // number of the MANIFEST in use, or of an older one; 0: not known
  uint64_t manifest_bytes = 0;
  std::map<uint64_t, uint64_t> logs;  // number, and bytes of it that were synced for certain

  static std::string Path(std::string_view directory);
  // An empty list where there is no such file, as in directories of earlier servers. DATA_LOSS if it is damaged.
  static absl::StatusOr<StoreFileList> Read(const std::string& directory);
  // Replaces it in one step; synced, if it is to be.
  absl::Status Write(const std::string& directory, bool synced = true) const;
};

// The files of the store in `directory` as they are now, if it has all that its list names, and its logs and MANIFEST
// are undamaged. DATA_LOSS names the file that is not. With `repair`, a log's end that a crash has torn, which was
// never acknowledged, is cut off and told in the log; without, it is only told. Costs reading the logs.
absl::StatusOr<StoreFileList> CheckStoreFiles(const std::string& directory, bool repair);

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_STORE_FILES_H_
