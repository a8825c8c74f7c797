// Which errors of a code queries notice least.
#ifndef BEBR_INDEX_BINARIZER_ERROR_SHAPER_H_
#define BEBR_INDEX_BINARIZER_ERROR_SHAPER_H_

#include <cstddef>
#include <vector>

#include "index/binarizer/dot.h"

namespace bebr {

// An ErrorShaper weighs the errors e of a code's values by what they do to scores. Queries are spread unevenly over the
// directions that documents are coded along, and a rotation mixes these in every value: so what an error does depends
// on the errors of the values before it, and each value can be rounded such that it makes up for them (FORMAT.md,
// "Shaped errors").
//
// With W = diag(w) P diag(spread) P^T diag(w), a thousandth added to its diagonal, and W = L^T D L with ones on the
// diagonal of the lower triangular L:
//   e^T W e = sum over i of D_i (e_i + sum over j < i of L_ij e_j)^2.
//
// Immutable; thread-safe. Memory: the square of the components in floats. Cost to make: their third power / 3.
class ErrorShaper {
 public:
  // `project` has a row of spread.size() values for each of the components, `weights` what each component's products
  // count for.
  ErrorShaper(const std::vector<float>& project, const std::vector<float>& weights, const std::vector<float>& spread);

  // L_i0, L_i1, ..., and D_i.
  const float* row(size_t i) const { return rows_.data() + i * components_; }
  float weight(size_t i) const { return weights_[i]; }
  // What the errors of the first `count` components, at most i, carry over to component i.
  double Carried(size_t i, const float* errors, size_t count) const { return Dot(row(i), errors, count); }
  // e^T W e.
  double Error(const float* errors) const;

  size_t memory_bytes() const { return (rows_.size() + weights_.size()) * sizeof(float); }

 private:
  size_t components_ = 0;
  std::vector<float> rows_;
  std::vector<float> weights_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_ERROR_SHAPER_H_
