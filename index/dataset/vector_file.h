// Embeddings from and to files.
#ifndef BEBR_INDEX_DATASET_VECTOR_FILE_H_
#define BEBR_INDEX_DATASET_VECTOR_FILE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/exact/matrix.h"
#include "index/types/document.h"

namespace bebr {

// What a row says beside its vector.
struct RowFields {
  std::optional<std::string> id;
  Attributes attributes;
};

// A VectorFile reads embeddings from a file, a bounded number of rows at a time. The format is told by the name's
// ending: .npy (float16, float32 or float64; 2 dimensions; packed bits of uint8 as `name.npy:bits`), .fvecs, .jsonl (an
// array of numbers a line, or an object with the array under "embedding" or "values" and other fields), .hdf5 (the
// dataset "train" of ann-benchmarks, or "test" with `name.hdf5:test`), and IDX images as MNIST is published (-ubyte or
// -ubyte.gz: one row of bytes 0..255 an image).
//
// Errors: NOT_FOUND for a missing file; INVALID_ARGUMENT, naming file, row and what is wrong, for everything that is
// not such a file: a header that does not fit, a length that is not rows * dims, NaN or infinity. Thread safety: none.
class VectorFile {
 public:
  virtual ~VectorFile() = default;
  // Without `finite` NaN and infinity are passed on, for somebody else to refuse.
  static absl::StatusOr<std::unique_ptr<VectorFile>> Open(const std::string& path, bool finite = true);

  virtual size_t rows() const = 0;
  virtual size_t dims() const = 0;
  // What the file says its rows are compared by: of .hdf5 the attribute "distance", euclidean, angular or dot.
  virtual std::optional<Metric> metric() const { return std::nullopt; }
  // Reads the next rows, at most `max_rows`, into `out` (dims() floats each). Returns how many; 0 at the end.
  virtual absl::StatusOr<size_t> Read(size_t max_rows, float* out) = 0;
  // As Read, and into `fields` the rows' ids and, `with_attributes`, attributes: one entry a row, or none where the
  // format (any but .jsonl) has no such fields.
  virtual absl::StatusOr<size_t> ReadRows(size_t max_rows, float* out, std::vector<RowFields>* fields,
                                          bool with_attributes);
};

// Whether an error of a VectorFile is of a row's values, without which the file could be read on.
bool IsNotFinite(const absl::Status& status);
// Reads all rows, or the first `limit` where that is not 0.
absl::StatusOr<Matrix> ReadVectors(const std::string& path, size_t limit = 0);
// Writes a float32 .npy file.
absl::Status WriteNpy(const std::string& path, const Matrix& matrix);

}  // namespace bebr

#endif  // BEBR_INDEX_DATASET_VECTOR_FILE_H_
