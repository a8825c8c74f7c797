#ifndef BEBR_BENCH_BASELINES_PRODUCT_H_
#define BEBR_BENCH_BASELINES_PRODUCT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/baselines/estimates.h"

namespace bebr::bench {

struct ProductOptions {
  size_t parts = 0;
  int bits = 8;          // of a part: 4 or 8, codebooks of 16 or 256 vectors
  bool rotated = false;  // OPQ
  uint64_t seed = 1;
};

// Product quantization (Jegou, Douze and Schmid, PAMI 2011): the dims are cut into parts, alike but for one dim, and
// each part is coded by the nearest of 2^bits vectors that k-means found on the fitted rows. Asymmetric: the query
// stays in floats. Nothing is stored beside the code.
//
// OPQ (Ge, He, Ke and Sun, CVPR 2013): first a rotation, which starts with the principal directions dealt out to parts
// so that the products of variances are alike (their parametric solution) and is then improved by turns with the
// codebooks by the orthogonal Procrustes solution (their non-parametric one). `components` and `variances`: the
// principal directions (n x n) and the variance along each, falling.
Estimates MakeProduct(const Problem& problem, const ProductOptions& options, const std::vector<float>& components = {},
                      const std::vector<double>& variances = {});

}  // namespace bebr::bench

#endif  // BEBR_BENCH_BASELINES_PRODUCT_H_
