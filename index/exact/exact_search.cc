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

ExactTerm TermOf(Metric metric, const float* row, size_t dims) {
  if (metric == Metric::kInnerProduct) return {};
  double square = 0;
  for (size_t i = 0; i < dims; ++i) square += static_cast<double>(row[i]) * row[i];
  switch (metric) {
    case Metric::kCosine:
      return {square > 0 ? static_cast<float>(1 / std::sqrt(square)) : 0.0f, 0.0f};
    case Metric::kInnerProduct:
      break;
    case Metric::kL2:
      return {1.0f, static_cast<float>(-0.5 * square)};
  }
  return {};
}

Origin::Origin(Metric metric, const float* queries, size_t count, size_t dims) {
  if (metric != Metric::kL2) return;
  std::vector<double> sum(dims, 0.0);
  for (size_t i = 0; i < count * dims; ++i) sum[i % dims] += queries[i];
  for (const double value : sum) mean_.push_back(static_cast<float>(value / static_cast<double>(count)));
}

const float* Origin::Move(const float* rows, size_t count, std::vector<float>& scratch) const {
  if (mean_.empty()) return rows;
  const size_t dims = mean_.size();
  scratch.resize(count * dims);
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < dims; ++j) scratch[i * dims + j] = rows[i * dims + j] - mean_[j];
  }
  return scratch.data();
}

}  // namespace bebr
