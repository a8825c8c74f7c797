#include "index/dataset/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bebr {

absl::Status InvalidFile(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrFormat("%s: %s", path, what));
}

absl::Status CheckShape(const std::string& path, uint64_t rows, uint64_t dims) {
  if (rows == 0) return InvalidFile(path, "holds no rows");
  if (rows > kMaxFileRows)
    return InvalidFile(path, absl::StrFormat("claims %d rows; the limit is %d", rows, kMaxFileRows));
  if (dims == 0) return InvalidFile(path, "holds rows of no values");
  if (dims > kMaxFileDims) {
    return InvalidFile(path, absl::StrFormat("claims rows of %d values; the limit is %d", dims, kMaxFileDims));
  }
  return absl::OkStatus();
}

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // O_NONBLOCK: a named pipe must not hang us
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  struct stat info;
  if (fstat(fd, &info) != 0) {
    const int error = errno;
    close(fd);
    return absl::ErrnoToStatus(error, absl::StrCat("cannot read the size of ", path));
  }
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    return InvalidFile(path, "is not a regular file");
  }
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return InputFile(path, fd, static_cast<uint64_t>(info.st_size));
}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

InputFile::~InputFile() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<size_t> InputFile::Read(size_t bytes, void* out) {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got = read(fd_, static_cast<char*>(out) + done, std::min(bytes - done, size_t{1} << 30));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path_));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

absl::Status InputFile::ReadExactly(size_t bytes, void* out) {
  absl::StatusOr<size_t> got = Read(bytes, out);
  if (!got.ok()) return got.status();
  if (*got < bytes)
    return InvalidFile(path_, absl::StrFormat("is truncated: it ends %d bytes too early", bytes - *got));
  return absl::OkStatus();
}

}  // namespace bebr
