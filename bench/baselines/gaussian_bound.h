#ifndef BEBR_BENCH_BASELINES_GAUSSIAN_BOUND_H_
#define BEBR_BENCH_BASELINES_GAUSSIAN_BOUND_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/baselines/estimates.h"

namespace bebr::bench {

// What the best code of so many bits would find if directions x - mean were Gaussian with the fitted rows' covariance:
// not a method but a line to compare with. By the rate-distortion function of a Gaussian source (Cover and Thomas,
// section 10.3, "reverse water-filling") component i of variance v_i keeps the error D_i = min(v_i, t), with the water
// level t at which sum log2(v_i / D_i) / 2 = bits, and the code that reaches it looks like (1 - D_i / v_i) x_i +
// normal noise of variance D_i (1 - D_i / v_i). The length and the exact rest are stored beside it, 8 bytes, and the
// scale is our binarizers' (FORMAT.md, "Fitted quantizers"). Data that are no Gaussian, such as clusters, can be coded
// better than this line.
//
// `components` and `variances`: principal directions (n x n) of (x - mean) / |x - mean| and the variance along each.
Estimates MakeGaussianBound(const Problem& problem, double bits, const std::vector<float>& components,
                            const std::vector<double>& variances, uint64_t seed);

// D_i of each variance.
std::vector<double> ReverseWaterFilling(const std::vector<double>& variances, double bits);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_BASELINES_GAUSSIAN_BOUND_H_
