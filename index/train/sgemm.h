// The matrix product of training.
#ifndef BEBR_INDEX_TRAIN_SGEMM_H_
#define BEBR_INDEX_TRAIN_SGEMM_H_

#include <cstddef>

namespace bebr {

// c (m x n) = a * b, row-major. With `transpose_a` a is stored k x m, with `transpose_b` b is stored n x k. Runs
// oneDNN's sgemm on the OpenMP threads of the process.
void Sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, const float* a, const float* b, float* c);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_SGEMM_H_
