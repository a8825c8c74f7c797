#ifndef BEBR_BENCH_BASELINES_RABITQ_H_
#define BEBR_BENCH_BASELINES_RABITQ_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/baselines/estimates.h"

namespace bebr::bench {

struct RabitqOptions {
  size_t dims = 0;       // below the embeddings': principal components first, which is ours and not the papers'
  int bits = 1;          // of a dimension, 1 to 9
  size_t centroids = 1;  // 1: the mean; more: each document is coded relative to the nearest of so many, as in an IVF
  uint64_t seed = 1;
};

// RaBitQ (Gao and Long, SIGMOD 2024, arXiv 2405.12497) and Extended RaBitQ (Gao et al., SIGMOD 2025, arXiv 2409.09913).
// o = P(x - c)/|x - c|, P a random rotation and c the centroid, becomes the grid point y of 2^bits values a dimension
// that is most parallel to o over all scalings; with one bit these are the signs. The estimator
//   <q - c, x - c> ~ |x - c| <P(q - c), y> / <y, o>
// is unbiased over P. A document stores its code and two floats: |x - c| / <y, o>, and the exact rest (<c, x>, or
// |x - c|^2). The query stays in floats, which is its best case, and dims are not padded to 64 as the library does.
//
// `components`: the principal directions (dims x n), needed where dims is below the embeddings'.
Estimates MakeRabitq(const Problem& problem, const RabitqOptions& options, const std::vector<float>& components = {});

// The most parallel grid point to `o`; its values are odd halves. Up to five bits every scaling that changes it is
// tried, as the paper does; beyond, 64 of them, between which the cosine hardly moves.
void NearestGridDirection(const float* o, size_t dims, int bits, float* code);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_BASELINES_RABITQ_H_
