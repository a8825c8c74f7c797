#ifndef BEBR_BENCH_BASELINES_OSQ_H_
#define BEBR_BENCH_BASELINES_OSQ_H_

#include <cstddef>

#include "bench/baselines/estimates.h"

namespace bebr::bench {

// The optimised scalar quantization of Apache Lucene 10.4 (its class OptimizedScalarQuantizer and the format
// Lucene104ScalarQuantizedVectors; "better binary quantization" at one bit). Each centred vector has an interval [a, b]
// of its own, cut into 2^bits values; it starts where the squared error is least for a Gaussian with the vector's mean
// and deviation, and is improved by five rounds of least squares on the anisotropic loss (Guo et al., arXiv 1908.10396)
//   (1 - lambda) <x, x - x'>^2 / |x|^2 + lambda |x - x'|^2, lambda = 0.1,
// as long as that falls. Queries are quantized the same way: to 4 bits for documents of 1, 2 and 4 bits, to 7 for 7. A
// document stores its code, a, b, the exact rest and the sum of its values, 16 bytes. There is no rotation.
Estimates MakeOsq(const Problem& problem, int bits);

// Replaces x by its quantized self; exposed for the test.
void QuantizeOsq(int bits, float* x, size_t dims);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_BASELINES_OSQ_H_
