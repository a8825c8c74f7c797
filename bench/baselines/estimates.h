// What quantizers keep of documents, and the search by it: references for the recall benchmark, plain and slow.
#ifndef BEBR_BENCH_BASELINES_ESTIMATES_H_
#define BEBR_BENCH_BASELINES_ESTIMATES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "index/base/thread_pool.h"
#include "index/exact/matrix.h"
#include "index/types/document.h"

namespace bebr::bench {

// The first `kFound` rows for every query, best first, ties by row number.
inline constexpr size_t kFound = 100;
using Found = std::vector<uint32_t>;  // queries x kFound

// A Problem is what a method is given: vectors that are of length 1 where the metric is the cosine, so that documents
// are to be found by the inner product, or by the Euclidean distance.
struct Problem {
  Metric metric = Metric::kCosine;
  Matrix fitted;            // what models are fitted to
  Matrix documents;         // what is indexed
  Matrix queries;           // shown to no fit
  std::vector<float> mean;  // of the fitted rows
  ThreadPool* pool = nullptr;

  size_t dims() const { return documents.dims; }
  // `rows` minus the mean.
  Matrix Centred(const Matrix& rows) const;
  // What is to be added to <query - mean, document - mean> so that it orders documents as the metric does, exactly:
  // <mean, document>, or for the Euclidean distance -|document - mean|^2 / 2.
  std::vector<float> CentredOffsets() const;
};

Problem MakeProblem(Metric metric, Matrix fitted, Matrix documents, Matrix queries, ThreadPool& pool);

// Estimates are what a method knows of the documents: score(q, i) = <queries.row(q), rows.row(i)> + offsets[i], larger
// is nearer. All methods here score by a product with what they take for the vector, so that one search serves them.
// Rows and queries may lie in rotated coordinates, and queries may be quantized as well.
struct Estimates {
  Matrix rows;
  std::vector<float> offsets;
  Matrix queries;
  // What a document takes as its paper or its implementation stores it, in bytes, without padding; and what is stored
  // once. A rotation that a seed makes again takes nothing.
  double code_bytes = 0;
  double factor_bytes = 0;
  double model_bytes = 0;
};

Found Search(const Estimates& estimates, ThreadPool& pool);

// rows x (m x n)^T: each row in the coordinates whose directions are the rows of `directions`.
Matrix Turn(const Matrix& rows, const std::vector<float>& directions, size_t m, const Problem& problem);

// Calls body(row) for each row, some at a time.
void ForRows(size_t rows, ThreadPool& pool, const std::function<void(size_t)>& body);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_BASELINES_ESTIMATES_H_
