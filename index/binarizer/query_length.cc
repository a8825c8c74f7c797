#include "index/binarizer/query_length.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "index/binarizer/dot.h"

namespace bebr {
namespace {

constexpr double kMostMeanLengths = 20.0;  // that a query of inner product has: beyond, the mean no longer counts
constexpr double kLeastMeanLength = 1e-18;

}  // namespace

QueryLength::QueryLength(const Model& model)
    : metric_(model.metric),
      mean_(model.translation.has_value() ? model.translation->mean : model.mean),
      mean_norm_(std::sqrt(Dot(mean_.data(), mean_.data(), mean_.size()))),
      row_length_(
          static_cast<double>(model.translation.has_value() ? model.translation->row_length : model.row_length)) {}

double QueryLength::LengthFor(const float* x, double length) const {
  if (row_length_ > 0.0) return row_length_;
  if (mean_norm_ < kLeastMeanLength) return 1.0;
  if (length >= mean_norm_ && length <= kMostMeanLengths * mean_norm_) return length;
  const double along = Dot(mean_.data(), x, mean_.size()) / length;
  const bool reached = kMostMeanLengths * along > mean_norm_;
  return mean_norm_ * (reached ? mean_norm_ / along : kMostMeanLengths);
}

void QueryLength::Scale(float* embeddings, size_t rows, float* factors) const {
  std::fill_n(factors, rows, 1.0f);
  switch (metric_) {
    case Metric::kCosine:
    case Metric::kL2:
      return;
    case Metric::kInnerProduct:
      break;
  }
  const size_t n = mean_.size();
  for (size_t r = 0; r < rows; ++r) {
    float* x = embeddings + r * n;
    const double length = std::sqrt(Dot(x, x, n));
    if (length == 0.0) continue;
    const double wanted = LengthFor(x, length);
    if (wanted == length) continue;
    const double scale = wanted / length;
    for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(x[i] * scale);
    factors[r] = std::max(Finite(length / wanted), std::numeric_limits<float>::denorm_min());
  }
}

}  // namespace bebr
