// A matrix in memory.
#ifndef BEBR_INDEX_EXACT_MATRIX_H_
#define BEBR_INDEX_EXACT_MATRIX_H_

#include <cstddef>
#include <vector>

namespace bebr {

// A row-major matrix of floats in memory.
struct Matrix {
  size_t rows = 0;
  size_t dims = 0;
  std::vector<float> values;  // rows * dims

  const float* row(size_t i) const { return values.data() + i * dims; }
  float* row(size_t i) { return values.data() + i * dims; }
};

}  // namespace bebr

#endif  // BEBR_INDEX_EXACT_MATRIX_H_
