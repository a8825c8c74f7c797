#include "index/base/replace_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "index/base/errno_status.h"
#include "index/base/file.h"

namespace bebr {
namespace {

absl::Status WriteWhole(const std::string& path, std::string_view contents) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("\"", path, "\" cannot be made"));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  while (!contents.empty()) {
    const ssize_t written = write(fd, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, absl::StrCat("\"", path, "\" cannot be written"));
    contents.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("\"", to, "\" cannot be made"));
}

}  // namespace

absl::Status ReplaceFile(const std::string& path, std::string_view contents, bool synced) {
  const std::string temporary = path + ".tmp";
  unlink(temporary.c_str());  // what a crash left may have another name by now, in a snapshot
  absl::Status status = WriteWhole(temporary, contents);
  if (status.ok()) status = synced ? RenameSynced(temporary, path) : Rename(temporary, path);
  if (!status.ok()) unlink(temporary.c_str());  // the first error is the one that counts
  return status;
}

}  // namespace bebr
