#include "index/exact/neighbors.h"

#include <algorithm>
#include <cmath>

#include "index/base/thread_pool.h"
#include "index/exact/exact_search.h"

namespace bebr {
namespace {

constexpr size_t kQueryBlock = 128;
constexpr size_t kDocBlock = 512;  // with kQueryBlock 256 KiB of scores for each thread: they stay in its cache
// Sums of floats are rounded. The candidates beyond k let the final order be taken from sums in double.
constexpr size_t kSpare = 16;

struct Candidate {
  double score;
  uint32_t row;
  bool operator<(const Candidate& other) const {  // the better one first
    return score != other.score ? score > other.score : row < other.row;
  }
};

double Dot(const float* a, const float* b, size_t dims) {
  double sum = 0;
  for (size_t i = 0; i < dims; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

double Score(const float* query, const float* doc, size_t dims, Metric metric) {
  const double dot = Dot(query, doc, dims);
  double divisor = 1;
  switch (metric) {
    case Metric::kCosine:
      divisor = std::sqrt(Dot(doc, doc, dims));
      break;
    case Metric::kInnerProduct:
      break;
  }
  return divisor > 0 ? dot / divisor : 0;
}

// The neighbours of the queries first..first + count - 1. `factors`: of every document, or null (ExactBest).
void SearchBlock(const Matrix& docs, const Matrix& queries, size_t first, size_t count, size_t k, Metric metric,
                 const float* factors, uint32_t* out) {
  const ExactQueries block(queries.row(first), count, queries.dims);
  ExactBest<uint32_t> best(block, std::min(docs.rows, k + kSpare));
  for (size_t doc = 0; doc < docs.rows; doc += kDocBlock) {
    best.Add(docs.row(doc), std::min(kDocBlock, docs.rows - doc), factors == nullptr ? nullptr : factors + doc,
             [doc](size_t i) { return static_cast<uint32_t>(doc + i); });
  }
  for (size_t q = 0; q < count; ++q) {
    std::vector<Candidate> found;
    for (const auto& [score, row] : best.Take(q))
      found.push_back({Score(queries.row(first + q), docs.row(row), docs.dims, metric), row});
    std::sort(found.begin(), found.end());
    for (size_t i = 0; i < k; ++i) out[q * k + i] = found[i].row;
  }
}

}  // namespace

std::vector<uint32_t> ExactNeighbors(const Matrix& docs, const Matrix& queries, size_t k, Metric metric,
                                     size_t threads) {
  k = std::min(k, docs.rows);
  std::vector<uint32_t> neighbors(queries.rows * k);
  if (neighbors.empty() || docs.dims != queries.dims) return {};
  ThreadPool pool(threads > 1 ? threads - 1 : 0);  // the caller works along
  std::vector<float> factors;
  if (metric == Metric::kCosine) {
    factors.resize(docs.rows);
    pool.ParallelFor((docs.rows + kDocBlock - 1) / kDocBlock, [&](size_t block) {
      for (size_t i = block * kDocBlock; i < std::min(docs.rows, (block + 1) * kDocBlock); ++i)
        factors[i] = InverseLength(docs.row(i), docs.dims);
    });
  }
  pool.ParallelFor((queries.rows + kQueryBlock - 1) / kQueryBlock, [&](size_t block) {
    const size_t first = block * kQueryBlock;
    SearchBlock(docs, queries, first, std::min(kQueryBlock, queries.rows - first), k, metric,
                factors.empty() ? nullptr : factors.data(), neighbors.data() + first * k);
  });
  return neighbors;
}

double Recall(const uint32_t* exact, size_t k_exact, const uint32_t* found, size_t found_count, size_t depth) {
  if (k_exact == 0) return 0;
  const uint32_t* end = found + std::min(found_count, depth);
  size_t hits = 0;
  for (size_t i = 0; i < k_exact; ++i) hits += std::find(found, end, exact[i]) != end ? 1 : 0;
  return static_cast<double>(hits) / static_cast<double>(k_exact);
}

}  // namespace bebr
