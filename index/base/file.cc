#include "index/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "index/base/errno_status.h"

namespace bebr {
namespace {

absl::Status Sync(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("\"", path, "\" cannot be synced"));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  return fsync(fd) == 0 ? absl::OkStatus() : ErrnoStatus(errno, absl::StrCat("\"", path, "\" cannot be synced"));
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("\"", path, "\" cannot be read"));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  std::string bytes;
  struct stat info;
  if (fstat(fd, &info) == 0 && info.st_size > 0) bytes.reserve(static_cast<size_t>(info.st_size));
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("\"", path, "\" cannot be read"));
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(got));
  }
}

absl::Status RenameSynced(const std::string& from, const std::string& to) {
  if (const absl::Status synced = Sync(from); !synced.ok()) return synced;
  if (std::rename(from.c_str(), to.c_str()) != 0)
    return ErrnoStatus(errno, absl::StrCat("\"", to, "\" cannot be made"));
  const size_t slash = to.rfind('/');
  return Sync(slash == std::string::npos ? "." : slash == 0 ? "/" : to.substr(0, slash));
}

}  // namespace bebr
