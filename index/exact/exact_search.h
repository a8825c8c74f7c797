// Exact search over floats: what the answers of a code search are measured against. Who reads the rows, and from where,
// is the caller's matter:
//
//   const ExactQueries queries(floats, count, dims);
//   ExactBest<uint32_t> best(queries, 10);
//   best.Add(rows, row_count, nullptr, [](size_t i) { return static_cast<uint32_t>(i); });
//   for (const auto& entry : best.Take(0)) ...
#ifndef BEBR_INDEX_EXACT_EXACT_SEARCH_H_
#define BEBR_INDEX_EXACT_EXACT_SEARCH_H_

#include <cstddef>
#include <functional>
#include <limits>
#include <vector>

#include "index/base/aligned_buffer.h"
#include "index/base/top_k.h"

namespace bebr {

// ExactQueries are the float embeddings of some queries, in the order that the kernel table multiplies fastest.
//
// Thread safety: constant once made. Cost: 4 bytes a value; a row costs 2 * count() * dims() operations.
class ExactQueries {
 public:
  // `floats`: count x dims, row after row; copied.
  ExactQueries(const float* floats, size_t count, size_t dims);

  size_t count() const { return count_; }
  size_t dims() const { return dims_; }
  // scores[r * count() + q] = <row r, query q>, in float; a row's scores depend on that row and the queries alone.
  void Score(const float* rows, size_t row_count, float* scores) const;

 private:
  size_t count_;
  size_t dims_;
  AlignedBuffer<float> packed_;
};

// 1 / |row|, with which inner products become cosines but for the query's own length, which changes no order; 0 for a
// row of zeros.
float InverseLength(const float* row, size_t dims);

// ExactBest keeps for each query the best k of the rows it is shown, by score, then by the smaller Id.
//
// Lifetime: keeps a reference to the queries. Thread safety: none; to search with several threads give each its own and
// put together what they took. Cost beside the scores: O(1) a row and query, and 2 * k + 8 entries a query.
template <typename Id>
class ExactBest {
 public:
  struct Entry {
    float score = 0;
    Id id;
    bool operator<(const Entry& other) const {  // the better one first
      return score != other.score ? score > other.score : id < other.id;
    }
  };

  ExactBest(const ExactQueries& queries, size_t k)
      : queries_(queries), best_(queries.count(), Best(k, -std::numeric_limits<float>::infinity(), {})) {}

  // Shows it `row_count` rows. `factors`: what each row's scores are multiplied with, or null. `id_of(i)` is the id of
  // row i, and is asked for only where the row may be kept.
  template <typename IdOf>
  void Add(const float* rows, size_t row_count, const float* factors, const IdOf& id_of) {
    scores_.resize(row_count * queries_.count());
    queries_.Score(rows, row_count, scores_.data());
    const float* score = scores_.data();
    for (size_t r = 0; r < row_count; ++r) {
      const float factor = factors == nullptr ? 1.0f : factors[r];
      for (Best& best : best_) {
        const float scaled = *score++ * factor;
        if (scaled >= best.threshold()) best.Add({scaled, Id(id_of(r))});
      }
    }
  }
  // The best of query q, best first. To be called once for a query.
  std::vector<Entry> Take(size_t q) { return best_[q].Take(); }

 private:
  using Best = TopK<Entry, std::less<Entry>>;

  const ExactQueries& queries_;
  std::vector<Best> best_;
  std::vector<float> scores_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_EXACT_EXACT_SEARCH_H_
