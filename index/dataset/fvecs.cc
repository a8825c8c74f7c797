// .fvecs (TEXMEX): every row is its number of values (int32, little-endian) and the values (float32); all rows are
// alike.
#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/dataset/input_file.h"

namespace bebr {
namespace {

class FvecsFile final : public VectorFile {
 public:
  FvecsFile(InputFile file, size_t rows, size_t dims) : file_(std::move(file)), rows_(rows), dims_(dims) {}

  size_t rows() const override { return rows_; }
  size_t dims() const override { return dims_; }
  absl::StatusOr<size_t> Read(size_t max_rows, float* out) override {
    const size_t count = std::min(max_rows, rows_ - row_);
    const size_t row_bytes = (dims_ + 1) * 4;
    const size_t batch = std::max<size_t>(1, std::min(count, kReadBufferBytes / row_bytes));
    buffer_.resize(batch * row_bytes);
    for (size_t done = 0; done < count;) {
      const size_t some = std::min(batch, count - done);
      BEBR_RETURN_IF_ERROR(file_.ReadExactly(some * row_bytes, buffer_.data()));
      for (size_t i = 0; i < some; ++i) {
        const std::byte* row = buffer_.data() + i * row_bytes;
        int32_t dims = 0;
        std::memcpy(&dims, row, 4);
        if (dims < 0 || static_cast<size_t>(dims) != dims_) {
          return InvalidFile(file_.path(),
                             absl::StrFormat("row %d (counted from 0) claims %d values; the first row has %d",
                                             row_ + done + i, dims, dims_));
        }
        std::memcpy(out + (done + i) * dims_, row + 4, dims_ * 4);
      }
      done += some;
    }
    row_ += count;
    return count;
  }

 private:
  InputFile file_;
  size_t rows_;
  size_t dims_;
  std::vector<std::byte> buffer_;
  size_t row_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<VectorFile>> OpenFvecs(const std::string& path) {
  int32_t dims = 0;
  {
    BEBR_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
    if (file.size() == 0) return InvalidFile(path, "is empty");
    BEBR_RETURN_IF_ERROR(file.ReadExactly(4, &dims));
  }
  if (dims <= 0) return InvalidFile(path, absl::StrFormat("row 0 claims %d values; is it an .fvecs file?", dims));
  BEBR_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));  // again, from the beginning
  const uint64_t row_bytes = (static_cast<uint64_t>(dims) + 1) * 4;
  BEBR_RETURN_IF_ERROR(CheckShape(path, std::max<uint64_t>(1, file.size() / row_bytes), dims));
  if (file.size() % row_bytes != 0) {
    return InvalidFile(
        path, absl::StrFormat("has %d bytes, which is no multiple of %d, the size of a row of %d values; it is "
                              "truncated or no .fvecs file",
                              file.size(), row_bytes, dims));
  }
  const uint64_t rows = file.size() / row_bytes;
  return std::make_unique<FvecsFile>(std::move(file), rows, dims);
}

}  // namespace bebr
