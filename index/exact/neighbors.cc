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
  switch (metric) {
    case Metric::kCosine: {
      const double length = std::sqrt(Dot(doc, doc, dims));
      return length > 0 ? Dot(query, doc, dims) / length : 0;
    }
    case Metric::kInnerProduct:
      break;
    case Metric::kL2: {
      double sum = 0;
      for (size_t i = 0; i < dims; ++i) sum -= std::pow(static_cast<double>(query[i]) - doc[i], 2);
      return sum;
    }
  }
  return Dot(query, doc, dims);
}

// What all blocks of queries share.
struct Task {
  const Matrix& docs;
  const Matrix& queries;
  const size_t k;
  const Metric metric;
  const Origin origin;
  const std::function<bool()>& continues;
  std::vector<ExactTerm> terms;  // of every document; empty: products are the scores

  bool GoesOn() const { return continues == nullptr || continues(); }

  void MeasureTerms(ThreadPool& pool) {
    if (metric == Metric::kInnerProduct) return;
    terms.resize(docs.rows);
    pool.ParallelFor((docs.rows + kDocBlock - 1) / kDocBlock, [&](size_t block) {
      if (!GoesOn()) return;
      std::vector<float> moved;
      for (size_t i = block * kDocBlock; i < std::min(docs.rows, (block + 1) * kDocBlock); ++i)
        terms[i] = TermOf(metric, origin.Move(docs.row(i), 1, moved), docs.dims);
    });
  }

  // Of the queries first..first + count - 1.
  void Search(size_t first, size_t count, uint32_t* out) const {
    std::vector<float> moved;
    const ExactQueries block(origin.Move(queries.row(first), count, moved), count, queries.dims);
    ExactBest<uint32_t> best(block, std::min(docs.rows, k + kSpare));
    for (size_t doc = 0; doc < docs.rows; doc += kDocBlock) {
      if (!GoesOn()) return;
      const size_t rows = std::min(kDocBlock, docs.rows - doc);
      best.Add(origin.Move(docs.row(doc), rows, moved), rows, terms.empty() ? nullptr : terms.data() + doc,
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
};

}  // namespace

std::vector<uint32_t> ExactNeighbors(const Matrix& docs, const Matrix& queries, size_t k, Metric metric, size_t threads,
                                     const std::function<bool()>& continues) {
  k = std::min(k, docs.rows);
  std::vector<uint32_t> neighbors(queries.rows * k);
  if (neighbors.empty() || docs.dims != queries.dims) return {};
  ThreadPool pool(threads > 1 ? threads - 1 : 0);  // the caller works along
  Task task{docs, queries, k, metric, Origin(metric, queries.values.data(), queries.rows, queries.dims), continues, {}};
  task.MeasureTerms(pool);
  pool.ParallelFor((queries.rows + kQueryBlock - 1) / kQueryBlock, [&](size_t block) {
    const size_t first = block * kQueryBlock;
    task.Search(first, std::min(kQueryBlock, queries.rows - first), neighbors.data() + first * k);
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
