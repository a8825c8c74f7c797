// Reading a file whole, and giving one its name: the one place that does.
#ifndef BEBR_INDEX_BASE_FILE_H_
#define BEBR_INDEX_BASE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bebr {

// The bytes of the file at `path`; pipes are read to their end. NOT_FOUND if there is none, PERMISSION_DENIED and so on
// by errno; the message is "PATH" cannot be read, and why. Memory: the file's size.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// A descriptor that reads the file at `path`, which is closed by its caller. DATA_LOSS for what is no regular file and
// no link to one: of a pipe or a device the end might never come. Errors by errno, as above.
absl::StatusOr<int> OpenDataFile(const std::string& path);
// ReadFile of such a file, for what lies in a data directory: nobody makes a pipe of that.
absl::StatusOr<std::string> ReadDataFile(const std::string& path);

// Gives a file that was written whole its name, in the same directory, and so that after a power cut there is either
// it, whole, or what had the name before: syncs it, renames it, and syncs the directory.
absl::Status RenameSynced(const std::string& from, const std::string& to);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_FILE_H_
