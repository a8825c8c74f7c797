#include "bench/baselines/rabitq.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "bench/baselines/kmeans.h"
#include "index/binarizer/dot.h"
#include "index/fit/linear_algebra.h"

namespace bebr::bench {
namespace {

constexpr int kSweptBits = 5;
constexpr int kScales = 64;

// Where one value of the code grows by a step as the scale grows.
struct Growth {
  float scale;
  uint32_t dim;
};

// As scales grow from 0 the values go up one at a time: the best of all points on the way.
float BestScaleSwept(const float* o, size_t dims, int bits) {
  const int most = 1 << (bits - 1);  // magnitudes 1/2 .. most - 1/2
  std::vector<Growth> growths;
  double dot = 0.0, squared = 0.0;
  for (size_t i = 0; i < dims; ++i) {
    const float magnitude = std::abs(o[i]);
    dot += 0.5 * magnitude;
    squared += 0.25;
    for (int value = 1; magnitude > 1e-12f && value < most; ++value)
      growths.push_back({static_cast<float>(value) / magnitude, static_cast<uint32_t>(i)});
  }
  std::sort(growths.begin(), growths.end(),
            [](const Growth& a, const Growth& b) { return a.scale != b.scale ? a.scale < b.scale : a.dim < b.dim; });
  std::vector<float> value(dims, 0.5f);
  double best = dot * dot / squared;
  float scale = 0.0f;
  for (const Growth& growth : growths) {
    dot += std::abs(o[growth.dim]);
    squared += 2.0 * value[growth.dim] + 1.0;
    value[growth.dim] += 1.0f;
    if (dot * dot > best * squared) best = dot * dot / squared, scale = growth.scale;
  }
  return scale;
}

float Quantize(float magnitude, float limit) { return std::min(std::floor(magnitude) + 0.5f, limit); }

float BestScaleTried(const float* o, size_t dims, float limit) {
  float largest = 1e-20f;
  for (size_t i = 0; i < dims; ++i) largest = std::max(largest, std::abs(o[i]));
  double best_cosine = -1.0;
  float best_scale = 1.0f;
  for (int s = 1; s <= kScales; ++s) {
    const float scale = (limit + 0.5f) * 2.5f * static_cast<float>(s) / (kScales * largest);
    double dot = 0.0, squared = 0.0;
    for (size_t i = 0; i < dims; ++i) {
      const float magnitude = std::abs(o[i]), value = Quantize(magnitude * scale, limit);
      dot += static_cast<double>(magnitude) * value;
      squared += static_cast<double>(value) * value;
    }
    const double cosine = dot / std::sqrt(squared);
    if (cosine > best_cosine) best_cosine = cosine, best_scale = scale;
  }
  return best_scale;
}

}  // namespace

void NearestGridDirection(const float* o, size_t dims, int bits, float* code) {
  const float limit = static_cast<float>(1 << (bits - 1)) - 0.5f;
  float scale = 1.0f;
  if (bits > 1) scale = bits <= kSweptBits ? BestScaleSwept(o, dims, bits) : BestScaleTried(o, dims, limit);
  // A value that grows at this very scale must not fall back by rounding.
  scale *= 1.0f + 1e-6f;
  for (size_t i = 0; i < dims; ++i) code[i] = std::copysign(Quantize(std::abs(o[i]) * scale, limit), o[i]);
}

Estimates MakeRabitq(const Problem& problem, const RabitqOptions& options, const std::vector<float>& components) {
  const size_t n = problem.dims(), m = options.dims == 0 ? n : options.dims;
  std::mt19937_64 random(options.seed);
  std::vector<float> directions = RandomRotation(m, m, random);
  if (m < n) {
    std::vector<float> turned(m * n);
    Multiply(false, false, m, n, m, directions.data(), components.data(), turned.data());
    directions = std::move(turned);
  }
  const Matrix documents = problem.Centred(problem.documents);
  Matrix centroids{1, n, std::vector<float>(n)};
  if (options.centroids > 1) {
    centroids = KMeans(problem.Centred(problem.fitted), options.centroids, options.seed, *problem.pool);
  }
  const std::vector<uint32_t> nearest = NearestCentroids(documents, centroids, *problem.pool);
  const Matrix turned_centroids = Turn(centroids, directions, m, problem);
  Estimates estimates;
  estimates.rows = Turn(documents, directions, m, problem);
  estimates.queries = Turn(problem.Centred(problem.queries), directions, m, problem);
  estimates.offsets = problem.CentredOffsets();
  ForRows(documents.rows, *problem.pool, [&](size_t r) {
    float* o = estimates.rows.row(r);
    const float* c = turned_centroids.row(nearest[r]);
    std::vector<float> code(m), e(m);
    for (size_t i = 0; i < m; ++i) e[i] = o[i] - c[i];
    NearestGridDirection(e.data(), m, options.bits, code.data());
    const double agreement = Dot(e.data(), code.data(), m);
    const auto scale = static_cast<float>(agreement > 0.0 ? Dot(e.data(), e.data(), m) / agreement : 0.0);
    double wrong = 0.0;  // <c, e> minus its estimate
    for (size_t i = 0; i < m; ++i) {
      const float estimate = scale * code[i];
      wrong += static_cast<double>(c[i]) * (e[i] - estimate);
      o[i] = c[i] + estimate;
    }
    estimates.offsets[r] += static_cast<float>(wrong);
  });
  estimates.code_bytes = static_cast<double>(m * static_cast<size_t>(options.bits)) / 8.0;
  estimates.factor_bytes = 8.0 + (options.centroids > 1 ? 1.0 : 0.0);
  estimates.model_bytes = static_cast<double>((centroids.rows * n + (m < n ? m * n : 0)) * sizeof(float));
  return estimates;
}

}  // namespace bebr::bench
