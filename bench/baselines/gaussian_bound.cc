#include "bench/baselines/gaussian_bound.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "index/binarizer/dot.h"

namespace bebr::bench {

std::vector<double> ReverseWaterFilling(const std::vector<double>& variances, double bits) {
  const auto bits_at = [&](double level) {
    double sum = 0.0;
    for (const double v : variances) sum += v > level ? 0.5 * std::log2(v / level) : 0.0;
    return sum;
  };
  double low = 1e-30, high = *std::max_element(variances.begin(), variances.end());
  for (int i = 0; i < 200; ++i) {
    const double level = std::sqrt(low * high);
    (bits_at(level) > bits ? low : high) = level;
  }
  std::vector<double> errors(variances.size());
  for (size_t i = 0; i < errors.size(); ++i) errors[i] = std::min(high, std::max(variances[i], 0.0));
  return errors;
}

Estimates MakeGaussianBound(const Problem& problem, double bits, const std::vector<float>& components,
                            const std::vector<double>& variances, uint64_t seed) {
  const size_t n = problem.dims();
  const std::vector<double> errors = ReverseWaterFilling(variances, bits);
  double trace = 0.0;
  for (const double v : variances) trace += v;
  Estimates estimates;
  estimates.rows = Turn(problem.Centred(problem.documents), components, n, problem);
  estimates.queries = Turn(problem.Centred(problem.queries), components, n, problem);
  estimates.offsets = problem.CentredOffsets();
  ForRows(estimates.rows.rows, *problem.pool, [&](size_t r) {
    float* y = estimates.rows.row(r);
    std::mt19937_64 random(seed * 0x9e3779b97f4a7c15u + r);
    std::normal_distribution<double> normal;
    // The variances are those of directions, times `trace`.
    const double length = std::sqrt(Dot(y, y, n) / trace);
    std::vector<float> code(n);
    for (size_t i = 0; i < n; ++i) {
      if (errors[i] >= variances[i]) continue;
      const double kept = 1.0 - errors[i] / variances[i];
      code[i] = static_cast<float>(kept * y[i] + length * std::sqrt(errors[i] * kept) * normal(random));
    }
    const double agreement = Dot(y, code.data(), n), squared = Dot(code.data(), code.data(), n);
    double scale = 0.0;
    if (agreement > 0.0 && squared > 0.0) {
      const double least = agreement / squared, unbiased = Dot(y, y, n) / agreement;
      scale = least * std::pow(unbiased / least, 0.75);
    }
    for (size_t i = 0; i < n; ++i) y[i] = static_cast<float>(scale * code[i]);
  });
  estimates.code_bytes = bits / 8.0;
  estimates.factor_bytes = 8.0;
  return estimates;
}

}  // namespace bebr::bench
