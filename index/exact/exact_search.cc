#include "index/exact/exact_search.h"

#include <cmath>

#include "index/simd/kernels.h"

namespace bebr {

ExactQueries::ExactQueries(const float* floats, size_t count, size_t dims)
    : count_(count), dims_(dims), packed_(simd::Kernels().packed_floats(count, dims)) {
  simd::Kernels().pack(floats, count, dims, packed_.data());
}

void ExactQueries::Score(const float* rows, size_t row_count, float* scores) const {
  simd::Kernels().gemm(rows, row_count, dims_, packed_.data(), count_, dims_, nullptr, scores, count_);
}

float InverseLength(const float* row, size_t dims) {
  double square = 0;
  for (size_t i = 0; i < dims; ++i) square += static_cast<double>(row[i]) * row[i];
  return square > 0 ? static_cast<float>(1 / std::sqrt(square)) : 0.0f;
}

}  // namespace bebr
