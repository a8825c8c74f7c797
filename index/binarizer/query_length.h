// The length that queries of inner product are coded with.
#ifndef BEBR_INDEX_BINARIZER_QUERY_LENGTH_H_
#define BEBR_INDEX_BINARIZER_QUERY_LENGTH_H_

#include <cstddef>
#include <vector>

#include "index/binarizer/model.h"

namespace bebr {

// A QueryLength makes queries as long as FORMAT.md says ("From codes to a score"): Binarizer::ScaleQueries.
//
// Immutable; thread-safe. Cost: two sums over a query's values.
class QueryLength {
 public:
  QueryLength() = default;
  explicit QueryLength(const Model& model);

  // As Binarizer::ScaleQueries; nothing, and factors of 1, unless the metric is inner product.
  void Scale(float* embeddings, size_t rows, float* factors) const;
  size_t memory_bytes() const { return mean_.size() * sizeof(float); }

 private:
  // For a query x of this length.
  double LengthFor(const float* x, double length) const;

  Metric metric_ = Metric::kCosine;
  std::vector<float> mean_;
  double mean_norm_ = 0.0;
  double row_length_ = 0.0;  // Model::row_length
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_QUERY_LENGTH_H_
