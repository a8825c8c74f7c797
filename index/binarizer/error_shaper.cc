#include "index/binarizer/error_shaper.h"

#include <cmath>

#include "index/binarizer/residual_block.h"

namespace bebr {
namespace {

constexpr double kRidge = 1e-3;

}  // namespace

ErrorShaper::ErrorShaper(const std::vector<float>& project, const std::vector<float>& weights,
                         const std::vector<float>& spread)
    : components_(weights.size()), rows_(weights.size() * weights.size()), weights_(weights.size()) {
  const size_t c = components_, r = spread.size();
  std::vector<float> rooted(c * r), products(c * c);
  for (size_t i = 0; i < c; ++i) {
    for (size_t k = 0; k < r; ++k)
      rooted[i * r + k] = Finite(static_cast<double>(weights[i]) * project[i * r + k] * std::sqrt(spread[k]));
  }
  DenseLayer(rooted, {}, r, c).Apply(rooted.data(), c, products.data());
  std::vector<double> rest(products.begin(), products.end());
  for (size_t i = 0; i < c; ++i) rest[i * c + i] *= 1.0 + kRidge;
  for (size_t i = c; i-- > 0;) {
    const double* row = rest.data() + i * c;
    const double own = std::isfinite(row[i]) && row[i] > 0.0 ? row[i] : 0.0;
    weights_[i] = own > 0.0 ? Finite(own) : 1.0f;  // what no query has a part in may be rounded as it is
    for (size_t j = 0; own > 0.0 && j < i; ++j) rows_[i * c + j] = Finite(row[j] / own);
    for (size_t k = 0; own > 0.0 && k < i; ++k) {
      const double share = row[k] / own;
      for (size_t j = 0; j <= k; ++j) rest[k * c + j] -= share * row[j];  // what is above the diagonal is not read
    }
  }
}

double ErrorShaper::Error(const float* errors) const {
  double sum = 0.0;
  for (size_t i = 0; i < components_; ++i) {
    const double all = errors[i] + Carried(i, errors, i);
    sum += weights_[i] * all * all;
  }
  return sum;
}

}  // namespace bebr
