// Quantizers that need no training, written as references for the recall benchmark: plain, slow, and exact to their
// papers.
#ifndef BEBR_BENCH_RECALL_BASELINES_H_
#define BEBR_BENCH_RECALL_BASELINES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "index/base/thread_pool.h"
#include "index/binarizer/model.h"
#include "index/dataset/vector_file.h"
#include "index/fit/start_model.h"

namespace bebr::bench {

// The first `kFound` rows for every query, best first, ties by row number.
inline constexpr size_t kFound = 100;
using Found = std::vector<uint32_t>;  // queries x kFound

// Hamming distance between the signs of W(u) on both sides, u as the binarizer centres and scales it.
Found SearchSigns(const Model& model, const Matrix& documents, const Matrix& queries, ThreadPool& pool);

// The signs of the centred vectors themselves: a model whose projection is the identity.
Model SignModel(const CorpusStatistics& statistics);

// ITQ (Gong and Lazebnik, CVPR 2011): principal components, then the rotation that brings the points nearest to the
// corners of the cube, by alternating signs and the orthogonal Procrustes solution.
absl::StatusOr<Model> ItqModel(const CorpusStatistics& statistics, const Matrix& documents, size_t bits, uint64_t seed);

// RaBitQ (Gao and Long, SIGMOD 2024) and its extension to several bits (SIGMOD 2025): the centred vector, rotated at
// random, takes the grid point of the best cosine over scalings (tried at 64 scales); the estimate <o, q> = <code, q> /
// <code, o> with the exact per-document factor. The query stays in floats: its best case. `dims` below the embeddings'
// means principal components first.
absl::StatusOr<Found> SearchRabitq(const CorpusStatistics& statistics, const Matrix& documents, const Matrix& queries,
                                   size_t dims, int bits_per_dim, uint64_t seed, ThreadPool& pool);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_RECALL_BASELINES_H_
