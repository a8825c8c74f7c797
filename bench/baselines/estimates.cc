#include "bench/baselines/estimates.h"

#include <algorithm>
#include <utility>

#include "index/binarizer/dot.h"
#include "index/exact/exact_search.h"
#include "index/fit/linear_algebra.h"

namespace bebr::bench {
namespace {

constexpr size_t kPart = 512;
constexpr size_t kQueries = 64;

void TakeUnitLength(Matrix& rows, ThreadPool& pool) {
  ForRows(rows.rows, pool, [&](size_t r) {
    const auto unit = static_cast<float>(UnitOf(Metric::kCosine, rows.row(r), rows.dims));
    for (size_t i = 0; i < rows.dims; ++i) rows.row(r)[i] *= unit;
  });
}

std::vector<float> MeanOf(const Matrix& rows) {
  std::vector<double> sum(rows.dims);
  for (size_t r = 0; r < rows.rows; ++r) {
    for (size_t i = 0; i < rows.dims; ++i) sum[i] += rows.row(r)[i];
  }
  std::vector<float> mean(rows.dims);
  for (size_t i = 0; i < rows.dims; ++i) mean[i] = static_cast<float>(sum[i] / static_cast<double>(rows.rows));
  return mean;
}

}  // namespace

void ForRows(size_t rows, ThreadPool& pool, const std::function<void(size_t)>& body) {
  pool.ParallelFor((rows + kPart - 1) / kPart, [&](size_t part) {
    for (size_t r = part * kPart; r < std::min(rows, (part + 1) * kPart); ++r) body(r);
  });
}

Problem MakeProblem(Metric metric, Matrix fitted, Matrix documents, Matrix queries, ThreadPool& pool) {
  Problem problem{metric, std::move(fitted), std::move(documents), std::move(queries), {}, &pool};
  if (metric == Metric::kCosine) {
    for (Matrix* rows : {&problem.fitted, &problem.documents, &problem.queries}) TakeUnitLength(*rows, pool);
  }
  problem.mean = MeanOf(problem.fitted);
  return problem;
}

Matrix Problem::Centred(const Matrix& rows) const {
  Matrix centred = rows;
  ForRows(rows.rows, *pool, [&](size_t r) {
    for (size_t i = 0; i < rows.dims; ++i) centred.row(r)[i] -= mean[i];
  });
  return centred;
}

std::vector<float> Problem::CentredOffsets() const {
  std::vector<float> offsets(documents.rows);
  ForRows(documents.rows, *pool, [&](size_t r) {
    const float* x = documents.row(r);
    offsets[r] = static_cast<float>(metric == Metric::kL2 ? -0.5 * SquaredDistance(x, mean.data(), dims())
                                                          : Dot(x, mean.data(), dims()));
  });
  return offsets;
}

Found Search(const Estimates& estimates, ThreadPool& pool) {
  const size_t rows = estimates.rows.rows, dims = estimates.rows.dims, queries = estimates.queries.rows;
  const size_t kept = std::min(kFound, rows);
  std::vector<ExactTerm> terms(rows);
  for (size_t r = 0; r < rows; ++r) terms[r].offset = estimates.offsets[r];
  Found found(queries * kFound);
  pool.ParallelFor((queries + kQueries - 1) / kQueries, [&](size_t part) {
    const size_t first = part * kQueries, count = std::min(kQueries, queries - first);
    const ExactQueries packed(estimates.queries.row(first), count, dims);
    ExactBest<uint32_t> best(packed, kept);
    for (size_t begin = 0; begin < rows; begin += kPart) {
      best.Add(estimates.rows.row(begin), std::min(kPart, rows - begin), terms.data() + begin,
               [begin](size_t i) { return static_cast<uint32_t>(begin + i); });
    }
    for (size_t q = 0; q < count; ++q) {
      uint32_t* out = found.data() + (first + q) * kFound;
      for (const auto& entry : best.Take(q)) *out++ = entry.id;
    }
  });
  return found;
}

Matrix Turn(const Matrix& rows, const std::vector<float>& directions, size_t m, const Problem& problem) {
  Matrix turned{rows.rows, m, std::vector<float>(rows.rows * m)};
  Multiply(false, true, rows.rows, m, rows.dims, rows.values.data(), directions.data(), turned.values.data(),
           problem.pool->size());
  return turned;
}

}  // namespace bebr::bench
