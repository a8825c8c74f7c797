#include "bench/recall/baselines.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <utility>

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

// The orthogonal matrix nearest to `a` (m x m), by Newton-Schulz: X <- 1.5 X - 0.5 X X^T X.
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

// The grid point of 2^bits values a dimension that is most parallel to `o`, as floats; its values are odd halves.
void NearestGridDirection(const float* o, size_t dims, int bits, float* code) {
  constexpr int kScales = 64;
  const float limit = static_cast<float>(1 << (bits - 1)) - 0.5f;
  float largest = 1e-20f;
  for (size_t i = 0; i < dims; ++i) largest = std::max(largest, std::abs(o[i]));
  double best_cosine = -1.0;
  float best_scale = 1.0f;
  const auto quantize = [limit](float value) { return std::min(std::floor(value) + 0.5f, limit); };
  for (int s = 1; s <= (bits == 1 ? 1 : kScales); ++s) {
    const float scale = (limit + 0.5f) * 2.5f * static_cast<float>(s) / (static_cast<float>(kScales) * largest);
    double dot = 0.0, squared = 0.0;
    for (size_t i = 0; i < dims; ++i) {
      const float magnitude = std::abs(o[i]), value = quantize(magnitude * scale);
      dot += static_cast<double>(magnitude) * value;
      squared += static_cast<double>(value) * value;
    }
    const double cosine = dot / std::sqrt(squared);
    if (cosine > best_cosine) best_cosine = cosine, best_scale = scale;
  }
  for (size_t i = 0; i < dims; ++i) code[i] = std::copysign(quantize(std::abs(o[i]) * best_scale), o[i]);
}

}  // namespace

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

absl::StatusOr<Found> SearchRabitq(const CorpusStatistics& statistics, const Matrix& documents, const Matrix& queries,
                                   size_t dims, int bits_per_dim, uint64_t seed, ThreadPool& pool) {
  const size_t n = statistics.dims;
  std::mt19937_64 random(seed);
  std::vector<float> directions = RandomRotation(dims, dims, random);
  if (dims < n) {
    std::vector<float> rotated(dims * n);
    Multiply(false, false, dims, n, dims, directions.data(), statistics.components.data(), rotated.data());
    directions = std::move(rotated);
  }
  // u has norm sqrt(n); the document's own norm |x - mean| comes back through `scale`.
  std::vector<float> codes = Project(statistics.mean, statistics.metric, directions, documents);
  const std::vector<float> rotated_queries = Project(statistics.mean, statistics.metric, directions, queries);
  std::vector<float> scale(documents.rows), offset(documents.rows);
  pool.ParallelFor((documents.rows + 255) / 256, [&](size_t task) {
    std::vector<float> code(dims);
    for (size_t r = task * 256; r < std::min(documents.rows, (task + 1) * 256); ++r) {
      float* o = codes.data() + r * dims;
      const float* x = documents.row(r);
      double norm = 0.0, energy = 0.0, agreement = 0.0;
      const double unit = UnitOf(statistics.metric, x, n);
      for (size_t i = 0; i < n; ++i) norm += (unit * x[i] - statistics.mean[i]) * (unit * x[i] - statistics.mean[i]);
      NearestGridDirection(o, dims, bits_per_dim, code.data());
      for (size_t i = 0; i < dims; ++i)
        energy += static_cast<double>(o[i]) * o[i], agreement += static_cast<double>(o[i]) * code[i];
      scale[r] = agreement > 0.0 ? static_cast<float>(std::sqrt(norm) * energy / agreement) : 0.0f;
      offset[r] = static_cast<float>(RowOffset(statistics.metric, statistics.mean.data(), x, unit, n));
      std::copy_n(code.data(), dims, o);
    }
  });
  Found found(queries.rows * kFound);
  constexpr size_t kQueryBlock = 64;
  std::vector<float> dots(kQueryBlock * documents.rows);
  for (size_t first = 0; first < queries.rows; first += kQueryBlock) {
    const size_t count = std::min(kQueryBlock, queries.rows - first);
    Multiply(false, true, count, documents.rows, dims, rotated_queries.data() + first * dims, codes.data(),
             dots.data());
    pool.ParallelFor(count, [&](size_t q) {
      const float* query = queries.row(first + q);
      double norm = 0.0;
      const double unit = UnitOf(statistics.metric, query, n);
      for (size_t i = 0; i < n; ++i)
        norm += (unit * query[i] - statistics.mean[i]) * (unit * query[i] - statistics.mean[i]);
      const double query_scale = ProductFactor(statistics.metric) * std::sqrt(norm) / static_cast<double>(n);
      std::vector<float> scores(documents.rows);
      for (size_t r = 0; r < documents.rows; ++r) {
        scores[r] = static_cast<float>(query_scale * dots[q * documents.rows + r] * scale[r] + offset[r]);
      }
      KeepBest(scores, found.data() + (first + q) * kFound);
    });
  }
  return found;
}

}  // namespace bebr::bench
