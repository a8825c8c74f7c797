#include "index/storage/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

namespace fs = std::filesystem;

absl::Status ErrnoStatus(std::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrFormat("%s %s", what, path));
}

absl::Status SyncPath(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus("cannot open", path);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  return fsync(fd) == 0 ? absl::OkStatus() : ErrnoStatus("cannot sync", path);
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path, std::string_view contents) {
  const std::string temporary = path + ".tmp";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus("cannot create", temporary);
  {
    const absl::Cleanup close_fd = [fd] { close(fd); };
    while (!contents.empty()) {
      const ssize_t written = write(fd, contents.data(), contents.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoStatus("cannot write", temporary);
      contents.remove_prefix(static_cast<size_t>(written));
    }
    if (fsync(fd) != 0) return ErrnoStatus("cannot sync", temporary);
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoStatus("cannot rename to", path);
  return SyncPath(fs::path(path).parent_path().string());
}

absl::Status CreateDirectories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return absl::UnavailableError(absl::StrFormat("cannot create directory %s: %s", path, error.message()));
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? absl::OkStatus() : SyncPath(parent);
}

absl::Status RenameDirectory(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus("cannot rename to", to);
  return SyncPath(fs::path(to).parent_path().string());
}

absl::Status RemoveAll(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return absl::UnavailableError(absl::StrFormat("cannot remove %s: %s", path, error.message()));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListDirectories(const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  if (error) return absl::UnavailableError(absl::StrFormat("cannot list %s: %s", path, error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status CopyDirectory(const std::string& from, const std::string& to, std::string_view linked) {
  BEBR_RETURN_IF_ERROR(CreateDirectories(to));
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(from, error)) {
    const std::string target = (fs::path(to) / entry.path().filename()).string();
    if (entry.is_directory()) {
      BEBR_RETURN_IF_ERROR(CopyDirectory(entry.path().string(), target, linked));
      continue;
    }
    if (target.ends_with(linked)) {
      fs::create_hard_link(entry.path(), target, error);
      if (!error) continue;
    }
    fs::copy_file(entry.path(), target, error);
    if (error) return absl::UnavailableError(absl::StrFormat("cannot copy to %s: %s", target, error.message()));
    BEBR_RETURN_IF_ERROR(SyncPath(target));
  }
  if (error) return absl::UnavailableError(absl::StrFormat("cannot list %s: %s", from, error.message()));
  return SyncPath(to);
}

bool FileExists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

uint64_t DirectoryBytes(const std::string& path) {
  uint64_t bytes = 0;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(path, error); !error && it != fs::recursive_directory_iterator();
       it.increment(error)) {
    std::error_code ignored;  // a file that is compacted away meanwhile counts nothing
    if (const auto size = it->is_regular_file(ignored) ? it->file_size(ignored) : 0; !ignored) bytes += size;
  }
  return bytes;
}

DiskSpace DiskSpaceOf(const std::string& path) {
  std::error_code error;
  const fs::space_info space = fs::space(path, error);
  if (error) return {};
  return {space.available, space.capacity};
}

absl::StatusOr<std::unique_ptr<DirectoryLock>> DirectoryLock::Acquire(const std::string& path) {
  const std::string file = path + "/LOCK";
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus("cannot open", file);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return absl::FailedPreconditionError(absl::StrFormat("data directory %s is in use by another process", path));
  }
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(fd));
}

DirectoryLock::~DirectoryLock() { close(fd_); }

}  // namespace bebr
