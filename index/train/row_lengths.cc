#include "index/train/row_lengths.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace bebr {
namespace {

constexpr float kMostMedians = 1000.0f;

}  // namespace

void RowLengths::Add(const float* row, size_t dims) {
  if (metric_ == Metric::kCosine) return;  // whose rows may be of any length
  double squared = 0.0;
  for (size_t i = 0; i < dims; ++i) squared += static_cast<double>(row[i]) * row[i];
  const auto length = static_cast<float>(std::sqrt(squared));
  if (length > longest_) {
    longest_ = length;
    longest_row_ = rows_;
  }
  ++rows_;
  if (!(length > 0.0f) || not_zero_++ % stride_ != 0) return;
  lengths_.push_back(length);
  if (lengths_.size() < kMostHeld) return;
  for (size_t i = 0; i < kMostHeld / 2; ++i) lengths_[i] = lengths_[2 * i];
  lengths_.resize(kMostHeld / 2);
  stride_ *= 2;
}

absl::Status RowLengths::Check() {
  if (lengths_.empty()) return absl::OkStatus();
  const auto middle = lengths_.begin() + static_cast<ptrdiff_t>(lengths_.size() / 2);
  std::nth_element(lengths_.begin(), middle, lengths_.end());
  if (longest_ <= kMostMedians * *middle) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "input row %d is of length %.3g, %.3g times that of the median row: with metric %s it would decide every code. "
      "The limit is %.0f times; remove the row, scale it down, or use cosine",
      longest_row_, longest_, longest_ / *middle, ToString(metric_), kMostMedians));
}

absl::Status CheckLengths(const Matrix& rows, Metric metric) {
  RowLengths lengths(metric);
  for (size_t r = 0; r < rows.rows; ++r) lengths.Add(rows.row(r), rows.dims);
  return lengths.Check();
}

}  // namespace bebr
