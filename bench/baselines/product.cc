#include "bench/baselines/product.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "bench/baselines/kmeans.h"
#include "bench/baselines/signs.h"
#include "index/binarizer/dot.h"
#include "index/fit/linear_algebra.h"

namespace bebr::bench {
namespace {

constexpr int kRotationRounds = 8;

// A codebook a part.
class Codebooks {
 public:
  Codebooks(const Matrix& rows, const ProductOptions& options, ThreadPool& pool) : pool_(pool), books_(options.parts) {
    for (size_t p = 0; p <= options.parts; ++p) starts_.push_back(p * rows.dims / options.parts);
    const Matrix sample = Sample(rows, kKMeansRows);
    pool.ParallelFor(options.parts, [&](size_t p) {
      ThreadPool own(1);
      books_[p] = KMeans(Part(sample, p), size_t{1} << options.bits, options.seed + p, own);
    });
  }

  // The codebooks' means move to what the rows are now: one round.
  void Improve(const Matrix& rows) {
    pool_.ParallelFor(books_.size(), [&](size_t p) {
      const Matrix part = Part(rows, p);
      std::vector<uint32_t> nearest(part.rows);
      Assign(part, books_[p], nearest.data());
      UpdateCentroids(part, nearest, p, books_[p]);
    });
  }

  // Each row as its code says.
  Matrix Decoded(const Matrix& rows) const {
    Matrix decoded = rows;
    pool_.ParallelFor(books_.size(), [&](size_t p) {
      const Matrix part = Part(rows, p);
      std::vector<uint32_t> nearest(part.rows);
      Assign(part, books_[p], nearest.data());
      for (size_t r = 0; r < rows.rows; ++r)
        std::copy_n(books_[p].row(nearest[r]), part.dims, decoded.row(r) + starts_[p]);
    });
    return decoded;
  }

 private:
  Matrix Part(const Matrix& rows, size_t p) const { return Columns(rows, starts_[p], starts_[p + 1] - starts_[p]); }

  ThreadPool& pool_;
  std::vector<size_t> starts_;
  std::vector<Matrix> books_;
};

// The principal directions in the order of parts: each goes, by falling variance, to the part with the least product of
// variances that has room.
std::vector<float> DealOut(const std::vector<float>& components, const std::vector<double>& variances, size_t n,
                           size_t parts) {
  std::vector<double> logs(parts);
  std::vector<std::vector<size_t>> of_part(parts);
  // Variances as small as rounding count alike, and each counts above 1, so that a product grows with every factor.
  const double least = std::max(variances.back(), 1e-6 * variances.front());
  for (size_t i = 0; i < n; ++i) {
    size_t best = parts;
    for (size_t p = 0; p < parts; ++p) {
      const size_t room = (p + 1) * n / parts - p * n / parts;
      if (of_part[p].size() < room && (best == parts || logs[p] < logs[best])) best = p;
    }
    of_part[best].push_back(i);
    logs[best] += std::log(std::max(variances[i], least) / least + 1.0);
  }
  std::vector<float> directions;
  for (const std::vector<size_t>& part : of_part) {
    for (const size_t i : part) {
      directions.insert(directions.end(), components.begin() + static_cast<std::ptrdiff_t>(i * n),
                        components.begin() + static_cast<std::ptrdiff_t>((i + 1) * n));
    }
  }
  return directions;
}

std::vector<float> FitRotation(const Problem& problem, const Matrix& fitted, const ProductOptions& options,
                               std::vector<float> rotation) {
  const size_t n = fitted.dims;
  const Matrix sample = Sample(fitted, kKMeansRows);
  Matrix turned = Turn(sample, rotation, n, problem);
  Codebooks books(turned, options, *problem.pool);
  std::vector<float> product(n * n);
  for (int round = 0; round < kRotationRounds; ++round) {
    const Matrix decoded = books.Decoded(turned);
    Multiply(true, false, n, n, sample.rows, decoded.values.data(), sample.values.data(), product.data(),
             problem.pool->size());
    rotation = NearestRotation(product, n);
    turned = Turn(sample, rotation, n, problem);
    books.Improve(turned);
  }
  return rotation;
}

}  // namespace

Estimates MakeProduct(const Problem& problem, const ProductOptions& options, const std::vector<float>& components,
                      const std::vector<double>& variances) {
  const size_t n = problem.dims();
  // The metric decides what is left of the mean: nothing for distances, <query, mean> for products, which is alike for
  // all documents.
  const bool l2 = problem.metric == Metric::kL2;
  Matrix fitted = problem.Centred(problem.fitted), documents = problem.Centred(problem.documents);
  Estimates estimates;
  estimates.queries = l2 ? problem.Centred(problem.queries) : problem.queries;
  if (options.rotated) {
    const std::vector<float> rotation =
        FitRotation(problem, fitted, options, DealOut(components, variances, n, options.parts));
    fitted = Turn(fitted, rotation, n, problem);
    documents = Turn(documents, rotation, n, problem);
    estimates.queries = Turn(estimates.queries, rotation, n, problem);
    estimates.model_bytes = static_cast<double>(n * n * sizeof(float));
  }
  const Codebooks books(fitted, options, *problem.pool);
  estimates.rows = books.Decoded(documents);
  estimates.offsets.assign(documents.rows, 0.0f);
  for (size_t r = 0; l2 && r < documents.rows; ++r) {
    estimates.offsets[r] = static_cast<float>(-0.5 * Dot(estimates.rows.row(r), estimates.rows.row(r), n));
  }
  estimates.code_bytes = static_cast<double>(options.parts * static_cast<size_t>(options.bits)) / 8.0;
  estimates.model_bytes += static_cast<double>((n << options.bits) * sizeof(float));
  return estimates;
}

}  // namespace bebr::bench
