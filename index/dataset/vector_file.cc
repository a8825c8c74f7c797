#include "index/dataset/vector_file.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <new>
#include <stdexcept>
#include <string_view>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/dataset/input_file.h"

namespace bebr {
namespace {

constexpr char kNotFinite[] = "bebr/not-finite";  // the payload of such a row's error

bool AllFinite(const float* values, size_t count) {
  // The exponent of NaN and infinity is all ones; the largest exponent of a row tells, without a branch for each value.
  uint32_t largest = 0;
  for (size_t i = 0; i < count; ++i) largest = std::max(largest, std::bit_cast<uint32_t>(values[i]) & 0x7F800000u);
  return largest < 0x7F800000u;
}

// Passes on another file's rows and refuses the first that is not finite.
class FiniteFile final : public VectorFile {
 public:
  FiniteFile(std::string path, std::unique_ptr<VectorFile> file) : path_(std::move(path)), file_(std::move(file)) {}

  size_t rows() const override { return file_->rows(); }
  size_t dims() const override { return file_->dims(); }
  std::optional<Metric> metric() const override { return file_->metric(); }
  absl::StatusOr<size_t> Read(size_t max_rows, float* out) override {
    BEBR_ASSIGN_OR_RETURN(const size_t count, file_->Read(max_rows, out));
    return Checked(count, out);
  }
  absl::StatusOr<size_t> ReadRows(size_t max_rows, float* out, std::vector<RowFields>* fields,
                                  bool with_attributes) override {
    BEBR_ASSIGN_OR_RETURN(const size_t count, file_->ReadRows(max_rows, out, fields, with_attributes));
    return Checked(count, out);
  }

 private:
  absl::StatusOr<size_t> Checked(size_t count, const float* out) {
    for (size_t i = 0; i < count; ++i) {
      if (!AllFinite(out + i * dims(), dims())) return RowError(row_ + i, out + i * dims());
    }
    row_ += count;
    return count;
  }
  absl::Status RowError(size_t row, const float* values) const {
    size_t column = 0;
    while (AllFinite(values + column, 1)) ++column;
    absl::Status status = InvalidFile(
        path_, absl::StrFormat("row %d (counted from 0) has %f in column %d; NaN, infinity and values beyond "
                               "the range of float32 are refused",
                               row, values[column], column));
    status.SetPayload(kNotFinite, absl::Cord());
    return status;
  }

  std::string path_;
  std::unique_ptr<VectorFile> file_;
  size_t row_ = 0;
};

absl::StatusOr<std::unique_ptr<VectorFile>> OpenByEnding(const std::string& path) {
  if (absl::EndsWith(path, ".npy")) return OpenNpy(path);
  if (absl::EndsWith(path, ".npy:bits")) return OpenNpy(path.substr(0, path.size() - 5), /*packed=*/true);
  if (absl::EndsWith(path, ".fvecs")) return OpenFvecs(path);
  if (absl::EndsWith(path, ".jsonl")) return OpenJsonl(path);
  if (absl::EndsWith(path, "-ubyte") || absl::EndsWith(path, "-ubyte.gz")) return OpenIdx(path);
  if (absl::EndsWith(path, ".hdf5")) return OpenHdf5(path, "train");
  const size_t colon = path.rfind(".hdf5:");
  if (colon != std::string::npos && colon + 6 < path.size())
    return OpenHdf5(path.substr(0, colon + 5), path.substr(colon + 6));
  return InvalidFile(path,
                     "the name's ending tells no format; it must be .npy, .fvecs, .jsonl, .hdf5, -ubyte or -ubyte.gz");
}

}  // namespace

absl::StatusOr<size_t> VectorFile::ReadRows(size_t max_rows, float* out, std::vector<RowFields>* fields, bool) {
  fields->clear();
  return Read(max_rows, out);
}

absl::StatusOr<std::unique_ptr<VectorFile>> VectorFile::Open(const std::string& path, bool finite) {
  BEBR_ASSIGN_OR_RETURN(std::unique_ptr<VectorFile> file, OpenByEnding(path));
  if (!finite) return file;
  return std::make_unique<FiniteFile>(path, std::move(file));
}

bool IsNotFinite(const absl::Status& status) { return status.GetPayload(kNotFinite).has_value(); }

absl::StatusOr<Matrix> ReadVectors(const std::string& path, size_t limit) {
  BEBR_ASSIGN_OR_RETURN(std::unique_ptr<VectorFile> file, VectorFile::Open(path));
  Matrix matrix;
  matrix.rows = limit == 0 ? file->rows() : std::min(limit, file->rows());
  matrix.dims = file->dims();
  const size_t chunk = std::max<size_t>(1, (size_t{16} << 20) / (matrix.dims * sizeof(float)));
  try {
    // Reserved memory costs nothing until it is written, so a header that claims too much does no harm here.
    matrix.values.reserve(matrix.rows * matrix.dims);
    for (size_t row = 0; row < matrix.rows;) {
      const size_t want = std::min(chunk, matrix.rows - row);
      matrix.values.resize((row + want) * matrix.dims);
      BEBR_ASSIGN_OR_RETURN(const size_t got, file->Read(want, matrix.row(row)));
      if (got == 0) return InvalidFile(path, absl::StrFormat("ends after %d of %d rows", row, file->rows()));
      row += got;
    }
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("%s: %d rows of %d floats do not fit into memory", path, matrix.rows, matrix.dims));
  } catch (const std::length_error&) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("%s: %d rows of %d floats do not fit into memory", path, matrix.rows, matrix.dims));
  }
  return matrix;
}

absl::Status WriteNpy(const std::string& path, const Matrix& matrix) {
  std::string header =
      absl::StrFormat("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", matrix.rows, matrix.dims);
  // Magic, version, length and header end on a multiple of 64 bytes, the last of them a line feed.
  constexpr size_t kPrefix = 10;
  header.append(63 - (kPrefix + header.size()) % 64, ' ');
  header.push_back('\n');
  std::string prefix("\x93NUMPY\x01\x00", 8);
  prefix.push_back(static_cast<char>(header.size() & 0xFF));
  prefix.push_back(static_cast<char>(header.size() >> 8));

  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", path));
  const size_t values = matrix.rows * matrix.dims;
  bool ok = std::fwrite(prefix.data(), 1, prefix.size(), file) == prefix.size() &&
            std::fwrite(header.data(), 1, header.size(), file) == header.size() &&
            std::fwrite(matrix.values.data(), sizeof(float), values, file) == values;
  ok = std::fclose(file) == 0 && ok;
  if (!ok) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

}  // namespace bebr
