// Rows that are far longer than the others.
#ifndef BEBR_INDEX_TRAIN_ROW_LENGTHS_H_
#define BEBR_INDEX_TRAIN_ROW_LENGTHS_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "index/dataset/vector_file.h"
#include "index/types/document.h"

namespace bebr {

// The lengths of rows as they come. Of many rows the median is that of an even sample, so that memory does not depend
// on their number; of the longest row nothing is missed.
class RowLengths {
 public:
  static constexpr size_t kMostHeld = size_t{1} << 20;

  explicit RowLengths(Metric metric) : metric_(metric) {}

  void Add(const float* row, size_t dims);
  // INVALID_ARGUMENT, naming the row, where one is a thousand times as long as the median of those that are not zero:
  // where lengths count, it would decide the mean, and with it every code and score.
  absl::Status Check();
  // Lengths that the median is taken of; none for cosine.
  size_t held() const { return lengths_.size(); }

 private:
  const Metric metric_;
  std::vector<float> lengths_;  // of every stride_-th row that is not zero
  size_t rows_ = 0, longest_row_ = 0, not_zero_ = 0, stride_ = 1;
  float longest_ = 0.0f;
};

absl::Status CheckLengths(const Matrix& rows, Metric metric);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_ROW_LENGTHS_H_
