// Rows that are far longer than the others.
#ifndef BEBR_INDEX_TRAIN_ROW_LENGTHS_H_
#define BEBR_INDEX_TRAIN_ROW_LENGTHS_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "index/dataset/vector_file.h"
#include "index/types/document.h"

namespace bebr {

// The lengths of rows as they come: 4 bytes each.
class RowLengths {
 public:
  void Add(const float* row, size_t dims);
  // INVALID_ARGUMENT, naming the row, where one is a thousand times as long as the median of those that are not zero:
  // where lengths count, it would decide the mean, and with it every code and score.
  absl::Status Check(Metric metric);

 private:
  std::vector<float> lengths_;  // of rows that are not zero
  size_t rows_ = 0, longest_row_ = 0;
  float longest_ = 0.0f;
};

absl::Status CheckLengths(const Matrix& rows, Metric metric);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_ROW_LENGTHS_H_
