#include "index/storage/rocks.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "index/base/checksum.h"
#include "index/base/logging.h"

#if defined(__x86_64__)
// Debian's RocksDB is built for processors without an instruction for CRC-32C: computing the log's checksums by table
// took a fifth of the time of a large commit. A program's functions come before those of a library that have the same
// name, so RocksDB calls this one. The name is not in its headers: one that calls it otherwise goes on by its own.
namespace rocksdb::crc32c {
uint32_t Extend(uint32_t crc, const char* bytes, size_t count);
uint32_t Extend(uint32_t crc, const char* bytes, size_t count) { return bebr::Crc32c({bytes, count}, crc); }
}  // namespace rocksdb::crc32c
#endif

namespace bebr {

absl::Status FromRocksDb(const rocksdb::Status& status, const std::string& path) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = absl::StrFormat("storage at %s: %s", path, status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(message);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(message + "; free disk space");
  if (status.IsNotFound()) return absl::NotFoundError(message);
  return absl::UnavailableError(message);
}

bool IsDiskError(const absl::Status& status) {
  return absl::IsUnavailable(status) && absl::StrContains(status.message(), std::generic_category().message(EIO));
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
