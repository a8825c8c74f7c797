// What the readers of the single formats share: the open file, the wording of errors, and their entry points.
#ifndef BEBR_INDEX_DATASET_INPUT_FILE_H_
#define BEBR_INDEX_DATASET_INPUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/dataset/vector_file.h"

namespace bebr {

// A longer row is taken for a damaged header: eight times what a binarizer takes.
inline constexpr uint64_t kMaxFileDims = 65536;
// Row numbers are 32 bits wide everywhere.
inline constexpr uint64_t kMaxFileRows = 0xFFFFFFFF;
// Readers that convert hold at most about this many bytes beside the caller's rows.
inline constexpr size_t kReadBufferBytes = size_t{1} << 20;
// DEFLATE makes nothing more than 1032 times smaller, so a compressed file bounds what its header may claim.
inline constexpr uint64_t kMaxCompression = 1032;

// INVALID_ARGUMENT "<path>: <what>".
absl::Status InvalidFile(const std::string& path, std::string_view what);
// INVALID_ARGUMENT unless 1..kMaxFileRows rows of 1..kMaxFileDims values.
absl::Status CheckShape(const std::string& path, uint64_t rows, uint64_t dims);

// An InputFile is a regular file opened for reading from its beginning to its end. Move-only; owns the descriptor.
// Thread safety: none.
class InputFile {
 public:
  // NOT_FOUND if there is none; INVALID_ARGUMENT if it is not a regular file; PERMISSION_DENIED and others as errno
  // says.
  static absl::StatusOr<InputFile> Open(const std::string& path);
  InputFile(InputFile&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  const std::string& path() const { return path_; }
  // Bytes when it was opened.
  uint64_t size() const { return size_; }
  // Reads up to `bytes`; fewer only at the end of the file.
  absl::StatusOr<size_t> Read(size_t bytes, void* out);
  // INVALID_ARGUMENT, saying how much is missing, if the file ends before.
  absl::Status ReadExactly(size_t bytes, void* out);

 private:
  InputFile(std::string path, int fd, uint64_t size) : path_(std::move(path)), fd_(fd), size_(size) {}

  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// One per format; vector_file.cc picks by the name's ending and checks the values they give for NaN and infinity.
// `packed`: of bits, which are values of 1 and -1.
absl::StatusOr<std::unique_ptr<VectorFile>> OpenNpy(const std::string& path, bool packed = false);
absl::StatusOr<std::unique_ptr<VectorFile>> OpenFvecs(const std::string& path);
absl::StatusOr<std::unique_ptr<VectorFile>> OpenJsonl(const std::string& path);
absl::StatusOr<std::unique_ptr<VectorFile>> OpenHdf5(const std::string& path, const std::string& dataset);
absl::StatusOr<std::unique_ptr<VectorFile>> OpenIdx(const std::string& path);

}  // namespace bebr

#endif  // BEBR_INDEX_DATASET_INPUT_FILE_H_
