// The few file-system operations that durability depends on. What they make, rename or remove is on disk when they
// return, unless they say otherwise: files are synced, and so are the directories that name them. Errors name the path;
// a full disk is RESOURCE_EXHAUSTED, a failing one UNAVAILABLE.
#ifndef BEBR_INDEX_STORAGE_FILES_H_
#define BEBR_INDEX_STORAGE_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bebr {

// Replaces the file at `path` by `contents` so that after a crash either the old or the new file is there, whole:
// writes a temporary file beside it, syncs it, renames it and syncs the directory.
absl::Status WriteFileAtomically(const std::string& path, std::string_view contents);
// Replaces it without syncing anything, for a directory that is built aside.
absl::Status WriteFileUnsynced(const std::string& path, std::string_view contents);
// Makes lasting the names in a directory.
absl::Status SyncDirectory(const std::string& path);
// Syncs all that is in a directory, at any depth, and then the directory: what was built in it without being synced.
absl::Status SyncTree(const std::string& path);
// What a file holds, in short. Reads it whole, a part at a time.
struct FileSum {
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
};
absl::StatusOr<FileSum> SumFile(const std::string& path);
// Cuts a file back to its first `bytes` bytes.
absl::Status CutFile(const std::string& path, uint64_t bytes);
absl::Status CreateDirectories(const std::string& path, bool synced = true);
// An error leaves the directory where it was, if the disk lets it.
absl::Status RenameDirectory(const std::string& from, const std::string& to);
// Removes a file or a whole directory; no error if it is not there.
absl::Status RemoveAll(const std::string& path);
// Names of the directories in `path`, and of all else that is in it, sorted.
absl::StatusOr<std::vector<std::string>> ListDirectories(const std::string& path);
absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& path);
// Copies a directory with all that is in it, synced to disk. Files whose name ends in `linked`, which never change,
// become hard links where the file system allows it.
absl::Status CopyDirectory(const std::string& from, const std::string& to, std::string_view linked);
// Whether there is something at `path`. An error if that cannot be told: what cannot be looked at is not missing.
absl::StatusOr<bool> FileExists(const std::string& path);
// What is under `path`, at any depth.
struct DirectorySize {
  uint64_t file_bytes = 0;       // that can be read from its files
  uint64_t allocated_bytes = 0;  // that they take of the disk: more where a file is preallocated, or small
};
DirectorySize SizeOf(const std::string& path);

// Of the file system that holds `path`; `free_bytes` is what a process without privileges may still write. Zeros if it
// cannot be told.
struct DiskSpace {
  uint64_t free_bytes = 0;
  uint64_t total_bytes = 0;
};
DiskSpace DiskSpaceOf(const std::string& path);

// Holds an exclusive lock on `path`/LOCK while it lives, also on a file system that is mounted read-only.
// FAILED_PRECONDITION if another process holds it.
class DirectoryLock {
 public:
  static absl::StatusOr<std::unique_ptr<DirectoryLock>> Acquire(const std::string& path);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_FILES_H_
