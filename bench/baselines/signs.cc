#include "bench/baselines/signs.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "index/base/status_macros.h"
#include "index/binarizer/dot.h"
#include "index/fit/linear_algebra.h"

namespace bebr::bench {
namespace {

constexpr size_t kBlockRows = 4096;
constexpr int kItqIterations = 30;
constexpr int kPolarIterations = 30;

// `rows` times `directions` (m x n) after centring and scaling: rows x m.
std::vector<float> Project(const std::vector<float>& mean, Metric metric, const std::vector<float>& directions,
                           const Matrix& rows) {
  const size_t n = rows.dims, m = directions.size() / n;
  std::vector<float> out(rows.rows * m), scaled(kBlockRows * n);
  for (size_t start = 0; start < rows.rows; start += kBlockRows) {
    const size_t count = std::min(kBlockRows, rows.rows - start);
    CenterAndScale(mean, metric, rows.row(start), count, scaled.data());
    Multiply(false, true, count, m, n, scaled.data(), directions.data(), out.data() + start * m);
  }
  return out;
}

// Keeps the best kFound of `scores`, larger first, ties by row.
template <typename Score>
void KeepBest(const std::vector<Score>& scores, uint32_t* out) {
  std::vector<uint32_t> order(scores.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(i);
  const size_t kept = std::min(kFound, order.size());
  std::partial_sort(order.begin(), order.begin() + kept, order.end(),
                    [&](uint32_t a, uint32_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  std::copy_n(order.begin(), kept, out);
}

std::vector<uint64_t> PackSigns(const Model& model, const Matrix& rows) {
  const size_t m = model.spec.dims(), words = (m + 63) / 64;
  const std::vector<float> values = Project(model.mean, model.metric, model.project.linear.weight, rows);
  std::vector<uint64_t> packed(rows.rows * words, 0);
  for (size_t r = 0; r < rows.rows; ++r) {
    for (size_t i = 0; i < m; ++i) {
      packed[r * words + i / 64] |= uint64_t{values[r * m + i] + model.project.linear.bias[i] >= 0.0f} << (i % 64);
    }
  }
  return packed;
}

}  // namespace

std::vector<float> NearestRotation(std::vector<float> a, size_t m) {
  std::vector<float> gram(m * m), product(m * m), vector(m, 1.0f), image(m);
  // The iteration converges from singular values in (0, sqrt(3)): divide by the largest, found by power iteration.
  Multiply(true, false, m, m, m, a.data(), a.data(), gram.data());
  double largest = 1.0;
  for (int i = 0; i < 30; ++i) {
    Multiply(false, true, 1, m, m, vector.data(), gram.data(), image.data());
    double squared = 0.0;
    for (const float value : image) squared += static_cast<double>(value) * value;
    largest = std::sqrt(squared);
    for (size_t j = 0; j < m; ++j) vector[j] = static_cast<float>(image[j] / largest);
  }
  const float scale = static_cast<float>(1.0 / (1.05 * std::sqrt(largest)));
  for (float& value : a) value *= scale;
  for (int i = 0; i < kPolarIterations; ++i) {
    Multiply(true, false, m, m, m, a.data(), a.data(), gram.data());
    Multiply(false, false, m, m, m, a.data(), gram.data(), product.data());
    for (size_t j = 0; j < a.size(); ++j) a[j] = 1.5f * a[j] - 0.5f * product[j];
  }
  return a;
}

Model SignModel(const CorpusStatistics& statistics) {
  const size_t n = statistics.dims;
  Model model;
  model.metric = statistics.metric;
  model.input_dims = statistics.dims;
  model.query_levels = 1;
  model.spec = *CodeSpec::Create({{statistics.dims, 1, 1.0f}});
  model.mean = statistics.mean;
  model.project.linear.weight.assign(n * n, 0.0f);
  for (size_t i = 0; i < n; ++i) model.project.linear.weight[i * n + i] = 1.0f;
  model.project.linear.bias.assign(n, 0.0f);
  return model;
}

absl::StatusOr<Model> ItqModel(const CorpusStatistics& statistics, const Matrix& documents, size_t bits,
                               uint64_t seed) {
  BEBR_ASSIGN_OR_RETURN(const CodeSpec spec, CodeSpec::Create({{static_cast<uint32_t>(bits), 1, 1.0f}}));
  const size_t n = statistics.dims;
  const std::vector<float> components(statistics.components.begin(), statistics.components.begin() + bits * n);
  const size_t rows = std::min<size_t>(documents.rows, 20000);
  Matrix sample{rows, n, {}};
  sample.values.assign(documents.values.begin(), documents.values.begin() + rows * n);
  const std::vector<float> projected = Project(statistics.mean, statistics.metric, components, sample);
  std::mt19937_64 random(seed);
  std::vector<float> rotation = RandomRotation(bits, bits, random);
  std::vector<float> rotated(rows * bits), product(bits * bits);
  for (int i = 0; i < kItqIterations; ++i) {
    Multiply(false, true, rows, bits, bits, projected.data(), rotation.data(), rotated.data());
    for (float& value : rotated) value = value >= 0.0f ? 1.0f : -1.0f;
    Multiply(true, false, bits, bits, rows, rotated.data(), projected.data(), product.data());
    rotation = NearestRotation(product, bits);
  }
  Model model = SignModel(statistics);
  model.spec = spec;
  model.project.linear.bias.assign(bits, 0.0f);
  model.project.linear.weight.resize(bits * n);
  Multiply(false, false, bits, n, bits, rotation.data(), components.data(), model.project.linear.weight.data());
  return model;
}

Found SearchSigns(const Model& model, const Matrix& documents, const Matrix& queries, ThreadPool& pool) {
  const size_t words = (model.spec.dims() + 63) / 64;
  const std::vector<uint64_t> codes = PackSigns(model, documents), query_codes = PackSigns(model, queries);
  Found found(queries.rows * kFound);
  pool.ParallelFor(queries.rows, [&](size_t q) {
    std::vector<int> scores(documents.rows);
    for (size_t r = 0; r < documents.rows; ++r) {
      int distance = 0;
      for (size_t w = 0; w < words; ++w) distance += std::popcount(codes[r * words + w] ^ query_codes[q * words + w]);
      scores[r] = -distance;
    }
    KeepBest(scores, found.data() + q * kFound);
  });
  return found;
}

}  // namespace bebr::bench
