// Files of the scan layout: what is in memory, as bytes on disk (FORMAT.md).
#ifndef BEBR_INDEX_SEGMENT_LAYOUT_FILE_H_
#define BEBR_INDEX_SEGMENT_LAYOUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"

namespace bebr {

// A LayoutWriter writes a layout file from its beginning to its end. Nothing is synced: what of it a crash has lost is
// noticed when it is read. Thread safety: none. Errors: the first one stays, and is what Finish returns;
// DEADLINE_EXCEEDED where the disk takes too long.
class LayoutWriter {
 public:
  // Begins a file at `path`, in place of what is there.
  static absl::StatusOr<std::unique_ptr<LayoutWriter>> Create(const std::string& path,
                                                              SteadyTime deadline = absl::InfiniteDuration());
  ~LayoutWriter();
  LayoutWriter(const LayoutWriter&) = delete;
  LayoutWriter& operator=(const LayoutWriter&) = delete;

  template <typename T>
  void Put(T value) {
    PutArray(&value, 1);
  }
  template <typename T>
  void PutArray(const T* values, size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    PutBytes(reinterpret_cast<const char*>(values), count * sizeof(T));
  }
  // With its length.
  void PutText(std::string_view text) {
    Put(static_cast<uint32_t>(text.size()));
    PutBytes(text.data(), text.size());
  }
  absl::Status Finish();

 private:
  LayoutWriter(std::string path, int fd, SteadyTime deadline);
  void PutBytes(const char* bytes, size_t count);
  void WritePart();
  void WriteAll(const char* bytes, size_t count);

  const std::string path_;
  const int fd_;
  const SteadyTime deadline_;
  std::vector<char> part_;
  size_t used_ = 0;  // of the part
  uint32_t crc_ = 0;
  absl::Status status_;
};

// A LayoutReader reads what a LayoutWriter has written: values in their order. What it returns was compared with its
// checksum. Thread safety: none. Errors: NOT_FOUND without a file, DATA_LOSS where the bytes are not those that were
// written. The first one stays; from then on all values are zero.
class LayoutReader {
 public:
  static absl::StatusOr<std::unique_ptr<LayoutReader>> Open(const std::string& path);
  ~LayoutReader();
  LayoutReader(const LayoutReader&) = delete;
  LayoutReader& operator=(const LayoutReader&) = delete;

  bool ok() const { return status_.ok(); }
  const absl::Status& status() const { return status_; }
  // What was read is none of what was to be there.
  void Fail(std::string_view what);

  template <typename T>
  T Take() {
    T value{};
    TakeArray(&value, 1);
    return value;
  }
  template <typename T>
  void TakeArray(T* values, size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    TakeBytes(reinterpret_cast<char*>(values), count * sizeof(T));
  }
  // `most`: bytes; longer ones are an error.
  std::string TakeText(size_t most);
  // How many there are of what has so many bytes each, or more; an error, and 0, if that is more than `most` or than
  // the rest of the file has room for. So nothing is made for what only a damaged number says.
  template <typename T>
  T TakeCount(uint64_t most, size_t bytes_each) {
    const T count = Take<T>();
    if (count <= most && count <= left_ / bytes_each) return count;
    Fail("it counts more than there can be");
    return 0;
  }
  // An error unless all was read.
  absl::Status Finish();

 private:
  LayoutReader(std::string path, int fd, uint64_t file_bytes);
  void TakeBytes(char* bytes, size_t count);
  bool ReadPart();
  // False, and an error, unless there are so many bytes.
  bool ReadAll(char* bytes, size_t count);

  const std::string path_;
  const int fd_;
  std::vector<char> part_;
  size_t size_ = 0, taken_ = 0;  // of the part
  uint64_t left_;                // bytes of the file that were not taken, or more
  bool ended_ = false;
  uint32_t crc_ = 0;
  absl::Status status_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEGMENT_LAYOUT_FILE_H_
