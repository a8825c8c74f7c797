// IDX as MNIST publishes it, plain or gzip: two zero bytes, the type (8: unsigned byte), the number of dimensions,
// their sizes (4 bytes each, big-endian), the values. The first dimension counts the images; the others together make a
// row.
#include <zlib.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/dataset/input_file.h"

namespace bebr {
namespace {

struct GzClose {
  void operator()(gzFile file) const { gzclose(file); }
};
using GzHandle = std::unique_ptr<gzFile_s, GzClose>;

class IdxFile final : public VectorFile {
 public:
  IdxFile(std::string path, GzHandle file) : path_(std::move(path)), file_(std::move(file)) {}

  absl::Status ReadHeader() {
    unsigned char magic[4];
    BEBR_RETURN_IF_ERROR(ReadExactly(4, magic));
    if (magic[0] != 0 || magic[1] != 0)
      return InvalidFile(path_, "is no IDX file: it does not begin with two zero bytes");
    if (magic[2] != 8)
      return InvalidFile(path_, absl::StrFormat("has IDX type 0x%02x; only unsigned bytes (0x08) are read", magic[2]));
    if (magic[3] < 2 || magic[3] > 4) {
      return InvalidFile(path_, absl::StrFormat("has %d dimensions; images have 2 to 4 (labels have 1)", magic[3]));
    }
    uint64_t sizes[4] = {0, 1, 1, 1};
    for (size_t i = 0; i < magic[3]; ++i) {
      unsigned char bytes[4];
      BEBR_RETURN_IF_ERROR(ReadExactly(4, bytes));
      sizes[i] = uint64_t{bytes[0]} << 24 | uint64_t{bytes[1]} << 16 | uint64_t{bytes[2]} << 8 | bytes[3];
      if (i > 0 && sizes[i] > kMaxFileDims) {
        return InvalidFile(path_, absl::StrFormat("claims a dimension of %d; the limit is %d", sizes[i], kMaxFileDims));
      }
    }
    rows_ = sizes[0];
    dims_ = sizes[1] * sizes[2] * sizes[3];  // < 2^49
    return CheckShape(path_, rows_, dims_);
  }
  // Bytes the values need; known after ReadHeader.
  uint64_t value_bytes() const { return rows_ * dims_; }

  size_t rows() const override { return rows_; }
  size_t dims() const override { return dims_; }
  absl::StatusOr<size_t> Read(size_t max_rows, float* out) override {
    const size_t count = std::min<size_t>(max_rows, rows_ - row_);
    buffer_.resize(std::min(kReadBufferBytes, count * dims_));
    for (size_t left = count * dims_; left > 0;) {
      const size_t some = std::min(left, buffer_.size());
      BEBR_RETURN_IF_ERROR(ReadExactly(some, buffer_.data()));
      for (size_t i = 0; i < some; ++i) out[i] = buffer_[i];
      out += some;
      left -= some;
    }
    row_ += count;
    if (row_ == rows_ && !ended_) BEBR_RETURN_IF_ERROR(CheckEnd());
    return count;
  }

 private:
  absl::Status ReadExactly(size_t bytes, void* out) {
    const int got = gzread(file_.get(), out, static_cast<unsigned>(bytes));
    if (got >= 0 && static_cast<size_t>(got) == bytes) return absl::OkStatus();
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    if (code != Z_OK && code != Z_BUF_ERROR) return InvalidFile(path_, absl::StrCat("is damaged: ", text));
    return InvalidFile(path_, absl::StrFormat("is truncated: row %d or the header is incomplete", row_));
  }

  // Reading past the last value makes zlib compare the checksum, and shows bytes that should not be there.
  absl::Status CheckEnd() {
    ended_ = true;
    char extra;
    const int got = gzread(file_.get(), &extra, 1);
    if (got > 0) return InvalidFile(path_, absl::StrFormat("goes on after its %d rows of %d values", rows_, dims_));
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    if (code != Z_OK) return InvalidFile(path_, absl::StrCat("is damaged: ", text));
    return absl::OkStatus();
  }

  std::string path_;
  GzHandle file_;
  uint64_t rows_ = 0;
  uint64_t dims_ = 0;
  std::vector<unsigned char> buffer_;
  size_t row_ = 0;
  bool ended_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<VectorFile>> OpenIdx(const std::string& path) {
  uint64_t size = 0;
  {
    BEBR_ASSIGN_OR_RETURN(const InputFile probe, InputFile::Open(path));  // for its errors and the size
    size = probe.size();
  }
  GzHandle handle(gzopen(path.c_str(), "rbe"));  // reads plain files as they are
  if (handle == nullptr) return absl::UnavailableError(absl::StrCat("cannot open ", path));
  gzbuffer(handle.get(), 128 << 10);
  const bool plain = gzdirect(handle.get()) != 0;
  auto file = std::make_unique<IdxFile>(path, std::move(handle));
  BEBR_RETURN_IF_ERROR(file->ReadHeader());
  if (file->value_bytes() / (plain ? 1 : kMaxCompression) > size) {
    return InvalidFile(
        path, absl::StrFormat("has %d bytes, too few for the %d rows of %d values that its header claims", size,
                              file->rows(), file->dims()));
  }
  return file;
}

}  // namespace bebr
