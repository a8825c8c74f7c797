// Rows that are read in order, as often as it takes.
#ifndef BEBR_INDEX_FIT_ROW_STREAM_H_
#define BEBR_INDEX_FIT_ROW_STREAM_H_

#include <algorithm>
#include <cstddef>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "index/exact/matrix.h"

namespace bebr {

// A RowStream gives a set of rows a block at a time, so that a fit to millions of them need not hold them. Thread
// safety: none.
class RowStream {
 public:
  using Take = absl::FunctionRef<void(const float* rows, size_t count)>;

  virtual ~RowStream() = default;
  virtual size_t rows() const = 0;
  virtual size_t dims() const = 0;
  // Calls `take` with all rows in order, some thousand at a time. Errors: what reading them says.
  virtual absl::Status ForEachBlock(Take take) const = 0;
};

// The rows of a matrix, at most `limit` of them, evenly spaced. The matrix must outlive it.
class MatrixRows : public RowStream {
 public:
  MatrixRows(const Matrix& matrix, size_t limit) : matrix_(matrix), rows_(std::min(matrix.rows, limit)) {}
  size_t rows() const override { return rows_; }
  size_t dims() const override { return matrix_.dims; }
  absl::Status ForEachBlock(Take take) const override {
    for (size_t i = 0; i < rows_; ++i) take(matrix_.row(i * matrix_.rows / rows_), 1);
    return absl::OkStatus();
  }

 private:
  const Matrix& matrix_;
  const size_t rows_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_ROW_STREAM_H_
