#include "bench/baselines/turboquant.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "index/binarizer/dot.h"
#include "index/fit/linear_algebra.h"

namespace bebr::bench {
namespace {

constexpr size_t kGrid = 1 << 13;
constexpr int kLloydRounds = 3000;

// Sums of a density over a grid of [-range, range]: mass and first moment of all points before the i-th.
struct Density {
  double range = 0;
  std::vector<double> mass, moment;

  double Point(size_t i) const {
    return range * (2.0 * (static_cast<double>(i) + 0.5) / static_cast<double>(kGrid) - 1.0);
  }
  // One of the sums, of all points below t.
  double Below(const std::vector<double>& sums, double t) const {
    const double place = std::clamp((t / range + 1.0) / 2.0, 0.0, 1.0) * static_cast<double>(kGrid);
    const auto i = std::min(static_cast<size_t>(place), kGrid - 1);
    return sums[i] + (place - static_cast<double>(i)) * (sums[i + 1] - sums[i]);
  }
};

Density SphereDensity(size_t dims) {
  Density density;
  density.range = std::min(1.0, 8.0 / std::sqrt(static_cast<double>(dims)));
  density.mass.assign(kGrid + 1, 0.0);
  density.moment.assign(kGrid + 1, 0.0);
  for (size_t i = 0; i < kGrid; ++i) {
    const double t = density.Point(i);
    const double weight = std::exp(0.5 * (static_cast<double>(dims) - 3.0) * std::log1p(-t * t));
    density.mass[i + 1] = density.mass[i] + weight;
    density.moment[i + 1] = density.moment[i] + weight * t;
  }
  return density;
}

float Nearest(const std::vector<float>& values, float t) {
  const auto above = std::lower_bound(values.begin(), values.end(), t);
  if (above == values.begin()) return values.front();
  if (above == values.end() || t - *(above - 1) <= *above - t) return *(above - 1);
  return *above;
}

std::vector<float> GaussianMatrix(size_t n, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<float> matrix(n * n);
  for (float& value : matrix) value = normal(random);
  return matrix;
}

// Adds to `rows` what the signs of S r say of r = exact - rows, both of length about 1; `lengths` become |r|.
void AddSignsOfRest(const Problem& problem, const Matrix& exact, std::mt19937_64& random, Matrix& rows) {
  const size_t n = rows.dims;
  const std::vector<float> s = GaussianMatrix(n, random);
  Matrix rest = exact;
  std::vector<float> lengths(rows.rows);
  ForRows(rows.rows, *problem.pool, [&](size_t r) {
    for (size_t i = 0; i < n; ++i) rest.row(r)[i] -= rows.row(r)[i];
    lengths[r] = static_cast<float>(std::sqrt(Dot(rest.row(r), rest.row(r), n)));
  });
  Matrix signs = Turn(rest, s, n, problem);
  for (float& value : signs.values) value = value >= 0.0f ? 1.0f : -1.0f;
  Multiply(false, false, rows.rows, n, n, signs.values.data(), s.data(), rest.values.data(), problem.pool->size());
  ForRows(rows.rows, *problem.pool, [&](size_t r) {
    const auto scale = static_cast<float>(std::sqrt(std::numbers::pi / 2.0) / static_cast<double>(n)) * lengths[r];
    for (size_t i = 0; i < n; ++i) rows.row(r)[i] += scale * rest.row(r)[i];
  });
}

}  // namespace

std::vector<float> SphereQuantizer(size_t dims, int bits) {
  const Density density = SphereDensity(dims);
  const size_t count = size_t{1} << bits;
  std::vector<double> values(count);
  for (size_t v = 0; v < count; ++v) {  // quantiles, stretched to where the best values end about
    const double share = (static_cast<double>(v) + 0.5) / static_cast<double>(count) * density.mass.back();
    const auto at = std::lower_bound(density.mass.begin(), density.mass.end(), share) - density.mass.begin();
    values[v] = 1.5 * density.Point(std::min<size_t>(static_cast<size_t>(at), kGrid - 1));
  }
  for (int round = 0; round < kLloydRounds; ++round) {
    double moved = 0.0;
    double begin = -density.range;
    for (size_t v = 0; v < count; ++v) {
      const double left = values[v];
      const double end = v + 1 < count ? (values[v] + values[v + 1]) / 2 : density.range;
      const double mass = density.Below(density.mass, end) - density.Below(density.mass, begin);
      if (mass > 0.0) values[v] = (density.Below(density.moment, end) - density.Below(density.moment, begin)) / mass;
      moved = std::max(moved, std::abs(values[v] - left));
      begin = end;
    }
    if (moved < 1e-7 * density.range) break;
  }
  return {values.begin(), values.end()};
}

Estimates MakeTurboquant(const Problem& problem, int bits, bool unbiased, uint64_t seed) {
  const size_t n = problem.dims();
  std::mt19937_64 random(seed);
  const std::vector<float> rotation = RandomRotation(n, n, random);
  const int value_bits = unbiased ? bits - 1 : bits;
  const std::vector<float> values = value_bits > 0 ? SphereQuantizer(n, value_bits) : std::vector<float>{0.0f};
  Matrix exact = Turn(problem.documents, rotation, n, problem);
  std::vector<float> lengths(exact.rows);
  Estimates estimates;
  estimates.rows = exact;
  estimates.queries = Turn(problem.queries, rotation, n, problem);
  estimates.offsets.assign(exact.rows, 0.0f);
  ForRows(exact.rows, *problem.pool, [&](size_t r) {
    float* x = exact.row(r);
    lengths[r] = static_cast<float>(std::sqrt(Dot(x, x, n)));
    for (size_t i = 0; i < n && lengths[r] > 0.0f; ++i) x[i] /= lengths[r];
    for (size_t i = 0; i < n; ++i) estimates.rows.row(r)[i] = Nearest(values, x[i]);
    if (problem.metric == Metric::kL2) estimates.offsets[r] = -0.5f * lengths[r] * lengths[r];
  });
  if (unbiased) AddSignsOfRest(problem, exact, random, estimates.rows);
  ForRows(exact.rows, *problem.pool, [&](size_t r) {
    for (size_t i = 0; i < n; ++i) estimates.rows.row(r)[i] *= lengths[r];
  });
  estimates.code_bytes = static_cast<double>(n * static_cast<size_t>(bits)) / 8.0;
  estimates.factor_bytes = (unbiased ? 4.0 : 0.0) + (problem.metric == Metric::kCosine ? 0.0 : 4.0);
  return estimates;
}

}  // namespace bebr::bench
