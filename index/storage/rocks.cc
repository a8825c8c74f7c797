#include "index/storage/rocks.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_format.h"
#include "index/base/logging.h"

namespace bebr {

absl::Status FromRocksDb(const rocksdb::Status& status, const std::string& path) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = absl::StrFormat("storage at %s: %s", path, status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(message);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(message + "; free disk space");
  if (status.IsNotFound()) return absl::NotFoundError(message);
  return absl::UnavailableError(message);
}

void RocksLog::Logv(rocksdb::InfoLogLevel level, const char* format, va_list arguments) {
  if (level < rocksdb::InfoLogLevel::WARN_LEVEL || level >= rocksdb::InfoLogLevel::HEADER_LEVEL) return;
  char text[1024];  // longer lines are cut
  const int size = std::vsnprintf(text, sizeof(text), format, arguments);
  std::string_view line(text, static_cast<size_t>(std::clamp<int>(size, 0, sizeof(text) - 1)));
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  // A checkpoint holds deletions back while RocksDB, listing the files for it, does so too: no trouble.
  if (line.find("File Deletions ") != std::string_view::npos) return;
  if (level == rocksdb::InfoLogLevel::WARN_LEVEL) {
    LogWarning("storage at {}: {}", path_, line);
  } else {
    LogError("storage at {}: {}", path_, line);
  }
}

}  // namespace bebr
