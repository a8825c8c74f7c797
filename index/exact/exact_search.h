// Exact search over floats: what the answers of a code search are measured against. Who reads the rows, and from where,
// is the caller's matter:
//
//   const ExactQueries queries(floats, count, dims);
//   ExactBest<uint32_t> best(queries, 10);
//   best.Add(rows, row_count, nullptr, [](size_t i) { return static_cast<uint32_t>(i); });  // by inner product
//   for (const auto& entry : best.Take(0)) ...
#ifndef BEBR_INDEX_EXACT_EXACT_SEARCH_H_
#define BEBR_INDEX_EXACT_EXACT_SEARCH_H_

#include <cstddef>
#include <functional>
#include <limits>
#include <vector>

#include "index/base/aligned_buffer.h"
#include "index/base/top_k.h"
#include "index/types/document.h"

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

// What makes an inner product with a row a score: score = product * factor + offset.
struct ExactTerm {
  float factor = 1.0f;
  float offset = 0.0f;
};

// The terms with which inner products order rows as `metric` does: of cosine 1 / |row|, 0 for a row of zeros, since the
// query's own length changes no order; of l2 -|row|^2 / 2, half the score but for the query's own square.
ExactTerm TermOf(Metric metric, const float* row, size_t dims);

// An origin that rows and queries of l2 are to be moved to before they are scored, which changes no distance: far from
// 0 the differences of their squares would be lost in float. It is the queries' mean; of other metrics there is none.
class Origin {
 public:
  Origin(Metric metric, const float* queries, size_t count, size_t dims);

  // The rows as they are to be scored: themselves where they need not be moved, else made in `scratch`.
  const float* Move(const float* rows, size_t count, std::vector<float>& scratch) const;

 private:
  std::vector<float> mean_;
};

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

  // Shows it `row_count` rows. `terms`: what makes scores of the products with each row, or null where they are the
  // scores. `id_of(i)` is the id of row i, and is asked for only where the row may be kept.
  template <typename IdOf>
  void Add(const float* rows, size_t row_count, const ExactTerm* terms, const IdOf& id_of) {
    scores_.resize(row_count * queries_.count());
    queries_.Score(rows, row_count, scores_.data());
    const float* score = scores_.data();
    for (size_t r = 0; r < row_count; ++r) {
      const ExactTerm term = terms == nullptr ? ExactTerm() : terms[r];
      for (Best& best : best_) {
        const float scaled = *score++ * term.factor + term.offset;
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
