// Writing a file whole: the one place that does.
#ifndef BEBR_INDEX_BASE_REPLACE_FILE_H_
#define BEBR_INDEX_BASE_REPLACE_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace bebr {

// Replaces the file at `path` by `contents`, or makes it. If `synced`, after a power cut there is either that, whole,
// or what was there before. An error leaves what was there, where the disk lets it. What it writes is PATH.tmp at
// first.
absl::Status ReplaceFile(const std::string& path, std::string_view contents, bool synced = true);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_REPLACE_FILE_H_
