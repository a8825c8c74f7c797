// The arithmetic that factors are made of.
#ifndef BEBR_INDEX_BINARIZER_DOT_H_
#define BEBR_INDEX_BINARIZER_DOT_H_

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "index/types/document.h"

namespace bebr {

// A double as the nearest finite float; 0 if it is no number.
inline float Finite(double value) {
  constexpr double kLargestFloat = 3.4028234e38;
  if (std::isnan(value)) return 0.0f;
  return static_cast<float>(std::clamp(value, -kLargestFloat, kLargestFloat));
}

// Sum of a[i] * b[i] in double: eight partial sums in a fixed order, so that every compiler setting gives the same
// bits.
inline double Dot(const float* a, const float* b, size_t count) {
  constexpr size_t kLanes = 8;
  double sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) sums[j] += static_cast<double>(a[i + j]) * static_cast<double>(b[i + j]);
  }
  for (size_t j = 0; i + j < count; ++j) sums[j] += static_cast<double>(a[i + j]) * static_cast<double>(b[i + j]);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// What a row is multiplied by before anything else is done with it: cosine takes rows of length 1. 0 for a row of
// zeros.
inline double UnitOf(Metric metric, const float* row, size_t dims) {
  switch (metric) {
    case Metric::kCosine: {
      const double squared = Dot(row, row, dims);
      return squared > 0.0 ? 1.0 / std::sqrt(squared) : 0.0;
    }
    case Metric::kInnerProduct:
    case Metric::kL2:
      break;
  }
  return 1.0;
}

// |a - b|^2 in double, in the order of Dot.
inline double SquaredDistance(const float* a, const float* b, size_t count) {
  constexpr size_t kLanes = 8;
  double sums[kLanes] = {};
  const auto add = [&](size_t lane, size_t i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sums[lane] += difference * difference;
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) add(j, i + j);
  }
  for (size_t j = 0; i + j < count; ++j) add(j, i + j);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// What a score is made of beside the product of a query less the mean with a document less the mean (FORMAT.md, "From
// codes to a score"): its factor, a term of each row, and one of every query. `unit`: UnitOf the row.
inline double ProductFactor(Metric metric) { return metric == Metric::kL2 ? 2.0 : 1.0; }

inline double RowOffset(Metric metric, const float* mean, const float* row, double unit, size_t dims) {
  if (metric == Metric::kL2) return -SquaredDistance(mean, row, dims);
  return unit * Dot(mean, row, dims);
}

inline double QueryOffset(Metric metric, const float* mean, size_t dims) {
  return metric == Metric::kL2 ? 0.0 : -Dot(mean, mean, dims);
}

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_DOT_H_
