#ifndef BEBR_BENCH_BASELINES_TURBOQUANT_H_
#define BEBR_BENCH_BASELINES_TURBOQUANT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/baselines/estimates.h"

namespace bebr::bench {

// TurboQuant (Zandieh et al., arXiv 2504.19874), which knows nothing of the data: not even their mean. The vector of
// length 1 is rotated at random, so that each coordinate has the density (1 - t^2)^((d - 3) / 2) on [-1, 1] times a
// constant, and is coded by the best scalar quantizer of 2^bits values for it (Lloyd and Max). `unbiased` is the
// paper's second algorithm: one bit of a dimension less, and of what is left, r, the signs of S r, S with independent
// standard normal entries (QJL), which add sqrt(pi / 2) / d |r| S^T sign(S r). A document stores its code, |r| where
// there is one, and its length unless the metric is the cosine, 4 bytes each; queries stay in floats.
Estimates MakeTurboquant(const Problem& problem, int bits, bool unbiased, uint64_t seed);

// The 2^bits values, ascending, of the best scalar quantizer of one coordinate of a random direction in `dims`.
std::vector<float> SphereQuantizer(size_t dims, int bits);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_BASELINES_TURBOQUANT_H_
