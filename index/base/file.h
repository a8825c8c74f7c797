// Reading a file whole: the one place that does.
#ifndef BEBR_INDEX_BASE_FILE_H_
#define BEBR_INDEX_BASE_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace bebr {

// The bytes of the file at `path`; pipes are read to their end. NOT_FOUND if there is none, PERMISSION_DENIED and so on
// by errno; the message is "PATH" cannot be read, and why. Memory: the file's size.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_FILE_H_
