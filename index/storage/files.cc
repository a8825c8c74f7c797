#include "index/storage/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/checksum.h"
#include "index/base/errno_status.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "index/base/replace_file.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

namespace fs = std::filesystem;

absl::Status CannotStatus(std::string_view what, const std::string& path) {
  return ErrnoStatus(errno, absl::StrFormat("cannot %s %s", what, path));
}

absl::Status ErrorStatus(std::string_view what, const std::string& path, const std::error_code& error) {
  errno = error.value();
  return CannotStatus(what, path);
}

absl::Status SyncPath(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return CannotStatus("open", path);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  return fsync(fd) == 0 ? absl::OkStatus() : CannotStatus("sync", path);
}

// Makes lasting what was made, renamed or removed at `path`: its directory's entry.
absl::Status SyncParent(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return SyncPath(parent.empty() ? "." : parent);
}

// Names in `path` of directories, or of everything else, sorted. What goes meanwhile is passed over.
absl::StatusOr<std::vector<std::string>> List(const std::string& path, bool directories) {
  std::error_code error;
  std::vector<std::string> names;
  fs::directory_iterator entry(path, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code gone;
    const bool is_directory = entry->is_directory(gone);
    if (gone && gone != std::errc::no_such_file_or_directory) return ErrorStatus("look at", entry->path(), gone);
    if (!gone && is_directory == directories) names.push_back(entry->path().filename().string());
  }
  if (error) return ErrorStatus("list", path, error);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path, std::string_view contents) {
  return ReplaceFile(path, contents);
}

absl::Status WriteFileUnsynced(const std::string& path, std::string_view contents) {
  return ReplaceFile(path, contents, /*synced=*/false);
}

absl::Status SyncDirectory(const std::string& path) { return SyncPath(path); }

absl::Status SyncTree(const std::string& path) {
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> directories, ListDirectories(path));
  for (const std::string& name : directories) BEBR_RETURN_IF_ERROR(SyncTree(absl::StrCat(path, "/", name)));
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListFiles(path));
  for (const std::string& name : files) BEBR_RETURN_IF_ERROR(SyncPath(absl::StrCat(path, "/", name)));
  return SyncPath(path);
}

absl::StatusOr<FileSum> SumFile(const std::string& path) {
  BEBR_ASSIGN_OR_RETURN(const int fd, OpenDataFile(path));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  std::string buffer(1 << 16, '\0');
  FileSum sum;
  for (;;) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return CannotStatus("read", path);
    if (got == 0) return sum;
    sum.bytes += static_cast<uint64_t>(got);
    sum.crc32c = Crc32c(std::string_view(buffer).substr(0, static_cast<size_t>(got)), sum.crc32c);
  }
}

absl::Status CutFile(const std::string& path, uint64_t bytes) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return CannotStatus("open", path);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) return CannotStatus("cut", path);
  return fsync(fd) == 0 ? absl::OkStatus() : CannotStatus("sync", path);
}

absl::Status CreateDirectories(const std::string& path, bool synced) {
  if (path.empty()) return absl::OkStatus();
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return absl::OkStatus();
  if (errno != ENOENT && errno != ENOTDIR) return CannotStatus("look at", path);
  BEBR_RETURN_IF_ERROR(CreateDirectories(fs::path(path).parent_path().string(), synced));
  // Somebody else may make it at the same time.
  if (mkdir(path.c_str(), 0755) != 0 && (errno != EEXIST || stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))) {
    return CannotStatus("create directory", path);
  }
  return synced ? SyncParent(path) : absl::OkStatus();
}

absl::Status RenameDirectory(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return CannotStatus("rename to", to);
  absl::Status synced = SyncParent(to);
  if (synced.ok() && fs::path(from).parent_path() != fs::path(to).parent_path()) synced = SyncParent(from);
  if (!synced.ok() && rename(to.c_str(), from.c_str()) != 0) LogError("{} cannot be renamed back to {}", to, from);
  return synced;
}

absl::Status RemoveAll(const std::string& path) {
  std::error_code error;
  const auto removed = fs::remove_all(path, error);
  if (error) return ErrorStatus("remove", path, error);
  return removed == 0 ? absl::OkStatus() : SyncParent(path);
}

absl::StatusOr<std::vector<std::string>> ListDirectories(const std::string& path) { return List(path, true); }
absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& path) { return List(path, false); }

absl::Status CopyDirectory(const std::string& from, const std::string& to, std::string_view linked) {
  BEBR_RETURN_IF_ERROR(CreateDirectories(to));
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> directories, ListDirectories(from));
  for (const std::string& name : directories) {
    BEBR_RETURN_IF_ERROR(CopyDirectory(absl::StrCat(from, "/", name), absl::StrCat(to, "/", name), linked));
  }
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListFiles(from));
  for (const std::string& name : files) {
    const std::string source = absl::StrCat(from, "/", name), target = absl::StrCat(to, "/", name);
    std::error_code error;
    if (target.ends_with(linked)) {
      fs::create_hard_link(source, target, error);
      if (!error) continue;
    }
    fs::copy_file(source, target, error);
    if (error) return ErrorStatus("copy to", target, error);
    BEBR_RETURN_IF_ERROR(SyncPath(target));
  }
  return SyncPath(to);
}

absl::StatusOr<bool> FileExists(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return CannotStatus("look at", path);
}

DirectorySize SizeOf(const std::string& path) {
  constexpr uint64_t kStatBlockBytes = 512;  // what st_blocks counts, whatever the file system's blocks are
  DirectorySize size;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(path, error); !error && it != fs::recursive_directory_iterator();
       it.increment(error)) {
    struct stat file;  // one that is compacted away meanwhile counts nothing
    if (lstat(it->path().c_str(), &file) != 0) continue;
    size.allocated_bytes += static_cast<uint64_t>(file.st_blocks) * kStatBlockBytes;
    if (S_ISREG(file.st_mode)) size.file_bytes += static_cast<uint64_t>(file.st_size);
  }
  return size;
}

DiskSpace DiskSpaceOf(const std::string& path) {
  std::error_code error;
  const fs::space_info space = fs::space(path, error);
  if (error) return {};
  return {space.available, space.capacity};
}

absl::StatusOr<std::unique_ptr<DirectoryLock>> DirectoryLock::Acquire(const std::string& path) {
  const std::string file = path + "/LOCK";
  int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  // Where nothing can be written, what is there is served all the same.
  const bool read_only = fd < 0 && errno == EROFS;
  if (read_only) fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return CannotStatus("open", file);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      close(fd);
      return absl::FailedPreconditionError(absl::StrFormat("data directory %s is in use by another process", path));
    }
    // Over NFS a file that is open for reading alone takes no such lock, and needs none: nobody writes here.
    if (!read_only) {
      absl::Status status = CannotStatus("lock", file);
      close(fd);
      return status;
    }
  }
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(fd));
}

DirectoryLock::~DirectoryLock() { close(fd_); }

}  // namespace bebr
