// How good a model is: recall on queries that training does not see.
#ifndef BEBR_INDEX_FIT_VALIDATION_H_
#define BEBR_INDEX_FIT_VALIDATION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "index/base/thread_pool.h"
#include "index/binarizer/binarizer.h"
#include "index/binarizer/model.h"
#include "index/exact/matrix.h"
#include "index/fit/code_search.h"

namespace bebr {

// What a model reaches on held-out queries: the share of the exact float top 10 among the first 10 and 50 of the code
// search.
struct HeldOutRecall {
  double at_10 = 0.0;
  double at_50 = 0.0;
  std::vector<float> per_query;  // recall at 10 of each query
};

// Of recall at 10 over the queries: its deviation if other queries had been taken.
double StandardError(const HeldOutRecall& recall);
// The mean of `a` minus `b` over the queries, in units of its own standard error; 0 where they are equal. For telling a
// better model from a lucky one.
double PairedGain(const HeldOutRecall& a, const HeldOutRecall& b);

// A Validator measures models on queries that training does not see. Documents are at most kMaxDocuments rows of the
// input, evenly spaced: the figure compares models with each other, and more rows would only make it slower.
//
// Ownership: keeps its own copy of queries and documents, and a reference to the pool. Thread safety: none. `continues`
// is asked while it is made and measures (linear_algebra.h): Measure of a model then says so.
class Validator {
 public:
  static constexpr size_t kMaxDocuments = 100000;
  static constexpr size_t kDepth = 10;

  Validator(const Matrix& documents, Matrix queries, Metric metric, ThreadPool& pool, Continues continues = nullptr);

  // Makes Measure the mean of two recalls: on codes that `older`, a binarizer of the same space, makes of the same
  // documents' other embeddings, and on the measured binarizer's own. `older` must outlive this.
  void MeasureAlsoOn(const Binarizer& older, const Matrix& older_documents);

  size_t query_count() const { return queries_.rows; }
  const Matrix& queries() const { return queries_; }
  const Matrix& documents() const { return documents_; }
  absl::StatusOr<HeldOutRecall> Measure(const Model& model) const;
  HeldOutRecall Measure(const Binarizer& binarizer) const;
  // Recall of any queries with the same true neighbours as this validator's: another version's embeddings of them.
  HeldOutRecall Measure(const CodeSearch& search, const Binarizer& query_binarizer, const Matrix& queries) const;
  const Matrix& older_documents() const { return older_documents_; }
  ThreadPool& pool() const { return pool_; }
  // A Validator over the first `queries` queries and `documents` evenly spaced documents: quicker and rougher.
  Validator Smaller(size_t queries, size_t documents) const;
  // One of the same queries.
  Validator Among(const Matrix& documents) const;

 private:
  Matrix documents_;
  Matrix queries_;
  Metric metric_;
  ThreadPool& pool_;
  Continues continues_;
  Matrix older_documents_;
  std::unique_ptr<const CodeSearch> on_older_;  // the older version's codes; null: Measure has one recall
  std::vector<uint32_t> exact_;                 // queries x min(kDepth, documents)
};

// At most `limit` rows, evenly spaced.
Matrix EvenlySpaced(const Matrix& rows, size_t limit);

// Moves `count` random rows of `input` to a matrix of their own. Deterministic for a seed; `input` is permuted.
Matrix SplitRows(Matrix& input, size_t count, uint64_t seed);

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_VALIDATION_H_
