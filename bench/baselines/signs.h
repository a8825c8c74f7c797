#ifndef BEBR_BENCH_BASELINES_SIGNS_H_
#define BEBR_BENCH_BASELINES_SIGNS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/baselines/estimates.h"
#include "index/binarizer/model.h"
#include "index/fit/start_model.h"

namespace bebr::bench {

// Hamming distance between the signs of W(u) on both sides, u as the binarizer centres and scales it.
Found SearchSigns(const Model& model, const Matrix& documents, const Matrix& queries, ThreadPool& pool);

// The signs of the centred vectors themselves: a model whose projection is the identity.
Model SignModel(const CorpusStatistics& statistics);

// ITQ (Gong and Lazebnik, CVPR 2011): principal components, then the rotation that brings the points nearest to the
// corners of the cube, by alternating signs and the orthogonal Procrustes solution.
absl::StatusOr<Model> ItqModel(const CorpusStatistics& statistics, const Matrix& documents, size_t bits, uint64_t seed);

// The orthogonal matrix nearest to `a` (m x m), by Newton-Schulz: X <- 1.5 X - 0.5 X X^T X.
std::vector<float> NearestRotation(std::vector<float> a, size_t m);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_BASELINES_SIGNS_H_
