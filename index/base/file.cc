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

absl::Status CannotBeRead(const std::string& path) {
  return ErrnoStatus(errno, absl::StrCat("\"", path, "\" cannot be read"));
}

absl::StatusOr<std::string> ReadAll(const std::string& path, int fd) {
  const absl::Cleanup close_fd = [fd] { close(fd); };
  std::string bytes;
  struct stat info;
  if (fstat(fd, &info) == 0 && info.st_size > 0) bytes.reserve(static_cast<size_t>(info.st_size));
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return CannotBeRead(path);
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  return fd < 0 ? CannotBeRead(path) : ReadAll(path, fd);
}

absl::StatusOr<int> OpenDataFile(const std::string& path) {
  // A pipe that nobody writes to would be waited for.
  const int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return CannotBeRead(path);
  struct stat info;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) return fd;
  close(fd);
  return absl::DataLossError(absl::StrCat("\"", path, "\" is no file, but a directory, a pipe or a device"));
}

absl::StatusOr<std::string> ReadDataFile(const std::string& path) {
  const absl::StatusOr<int> fd = OpenDataFile(path);
  return fd.ok() ? ReadAll(path, *fd) : fd.status();
}

absl::Status RenameSynced(const std::string& from, const std::string& to) {
  if (const absl::Status synced = Sync(from); !synced.ok()) return synced;
  if (std::rename(from.c_str(), to.c_str()) != 0)
    return ErrnoStatus(errno, absl::StrCat("\"", to, "\" cannot be made"));
  const size_t slash = to.rfind('/');
  return Sync(slash == std::string::npos ? "." : slash == 0 ? "/" : to.substr(0, slash));
}

}  // namespace bebr
