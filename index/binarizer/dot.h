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
      break;
  }
  return 1.0;
}

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_DOT_H_
