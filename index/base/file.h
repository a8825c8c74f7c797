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

// Gives a file that was written whole its name, in the same directory, and so that after a power cut there is either
// it, whole, or what had the name before: syncs it, renames it, and syncs the directory.
absl::Status RenameSynced(const std::string& from, const std::string& to);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_FILE_H_
