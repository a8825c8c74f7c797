#include "index/segment/layout_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/checksum.h"
#include "index/base/errno_status.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr std::string_view kTitle = "bebr layout 1\n\x01\x02";  // the last two: a u16 in the order of this machine
constexpr size_t kPartBytes = size_t{1} << 20;                  // at most, of which each has a checksum

struct PartHeader {
  uint32_t bytes = 0;  // 0: the file ends here
  uint32_t crc = 0;    // of all parts up to this one
};

absl::Status Errno(const std::string& path, const char* what) {
  return ErrnoStatus(errno, absl::StrCat(path, " cannot be ", what));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LayoutWriter>> LayoutWriter::Create(const std::string& path, SteadyTime deadline) {
  unlink(path.c_str());  // what is no file would be written to: a pipe, for ever
  const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return Errno(path, "made");
  return std::unique_ptr<LayoutWriter>(new LayoutWriter(path, fd, deadline));
}

LayoutWriter::LayoutWriter(std::string path, int fd, SteadyTime deadline)
    : path_(std::move(path)), fd_(fd), deadline_(deadline), part_(kPartBytes) {
  WriteAll(kTitle.data(), kTitle.size());
}

LayoutWriter::~LayoutWriter() { close(fd_); }

void LayoutWriter::PutBytes(const char* bytes, size_t count) {
  while (count > 0 && status_.ok()) {
    const size_t now = std::min(count, part_.size() - used_);
    std::memcpy(part_.data() + used_, bytes, now);
    used_ += now;
    bytes += now;
    count -= now;
    if (used_ == part_.size()) WritePart();
  }
}

void LayoutWriter::WritePart() {
  if (SteadyNow() >= deadline_) {
    status_.Update(absl::DeadlineExceededError(absl::StrCat(path_, " could not be written in the time that there is")));
    return;
  }
  crc_ = Crc32c({part_.data(), used_}, crc_);
  const PartHeader header{static_cast<uint32_t>(used_), crc_};
  WriteAll(reinterpret_cast<const char*>(&header), sizeof(header));
  WriteAll(part_.data(), used_);
  used_ = 0;
}

void LayoutWriter::WriteAll(const char* bytes, size_t count) {
  while (count > 0 && status_.ok()) {
    const ssize_t written = write(fd_, bytes, count);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      status_ = Errno(path_, "written");
      return;
    }
    bytes += written;
    count -= static_cast<size_t>(written);
  }
}

absl::Status LayoutWriter::Finish() {
  if (used_ > 0) WritePart();
  WritePart();  // the end
  return status_;
}

absl::StatusOr<std::unique_ptr<LayoutReader>> LayoutReader::Open(const std::string& path) {
  BEBR_ASSIGN_OR_RETURN(const int fd, OpenDataFile(path));
  struct stat file {};
  const uint64_t bytes = fstat(fd, &file) == 0 ? static_cast<uint64_t>(file.st_size) : 0;
  return std::unique_ptr<LayoutReader>(new LayoutReader(path, fd, bytes));
}

LayoutReader::LayoutReader(std::string path, int fd, uint64_t file_bytes)
    : path_(std::move(path)), fd_(fd), part_(kPartBytes), left_(file_bytes) {
  posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  std::string title(kTitle.size(), '\0');
  if (ReadAll(title.data(), title.size()) && title != kTitle) Fail("it is not what this server writes");
}

LayoutReader::~LayoutReader() { close(fd_); }

void LayoutReader::Fail(std::string_view what) {
  if (status_.ok()) status_ = absl::DataLossError(absl::StrFormat("%s cannot be used: %s", path_, what));
}

bool LayoutReader::ReadAll(char* bytes, size_t count) {
  while (count > 0 && status_.ok()) {
    const ssize_t got = read(fd_, bytes, count);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      status_ = Errno(path_, "read");
    } else if (got == 0) {
      Fail("its end is missing");
    } else {
      bytes += got;
      count -= static_cast<size_t>(got);
    }
  }
  return status_.ok();
}

bool LayoutReader::ReadPart() {
  PartHeader header;
  if (ended_) Fail("it is shorter than what it should hold");
  if (!ReadAll(reinterpret_cast<char*>(&header), sizeof(header))) return false;
  if (header.bytes > part_.size()) Fail("a part is too long");
  if (!status_.ok() || !ReadAll(part_.data(), header.bytes)) return false;
  crc_ = Crc32c({part_.data(), header.bytes}, crc_);
  if (crc_ != header.crc) Fail("a checksum is wrong");
  size_ = header.bytes;
  taken_ = 0;
  ended_ = size_ == 0;
  return status_.ok();
}

void LayoutReader::TakeBytes(char* bytes, size_t count) {
  while (count > 0) {
    if (!status_.ok() || (taken_ == size_ && !ReadPart())) {
      std::memset(bytes, 0, count);
      return;
    }
    const size_t now = std::min(count, size_ - taken_);
    std::memcpy(bytes, part_.data() + taken_, now);
    taken_ += now;
    left_ -= std::min<uint64_t>(left_, now);
    bytes += now;
    count -= now;
  }
}

std::string LayoutReader::TakeText(size_t most) {
  const auto size = Take<uint32_t>();
  if (size > most) {
    Fail("a text is too long");
    return "";
  }
  if (size > left_) Fail("a text is longer than the rest of it");
  std::string text(ok() ? size : 0, '\0');
  TakeBytes(text.data(), text.size());
  return ok() ? text : "";
}

absl::Status LayoutReader::Finish() {
  if (status_.ok() && taken_ < size_) Fail("it is longer than what it should hold");
  if (status_.ok() && !ended_ && ReadPart() && !ended_) Fail("it is longer than what it should hold");
  char more = 0;
  if (status_.ok() && read(fd_, &more, 1) != 0) Fail("more follows its end");
  return status_;
}

}  // namespace bebr
