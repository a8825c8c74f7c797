// Embeddings with a structure to learn: points around random centres, with falling variances.
#ifndef BEBR_TESTS_UNIT_FIT_CLUSTERS_H_
#define BEBR_TESTS_UNIT_FIT_CLUSTERS_H_

#include <cmath>
#include <random>

#include "index/dataset/vector_file.h"

namespace bebr {

inline Matrix Clusters(size_t rows, size_t dims, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  constexpr size_t kCenters = 50;
  std::vector<float> centers(kCenters * dims);
  std::mt19937_64 center_random(4711);  // the same centres for every seed, so that queries belong to documents
  for (float& value : centers) value = normal(center_random);
  Matrix matrix;
  matrix.rows = rows;
  matrix.dims = dims;
  matrix.values.resize(rows * dims);
  for (size_t r = 0; r < rows; ++r) {
    const float* center = centers.data() + random() % kCenters * dims;
    for (size_t i = 0; i < dims; ++i) {
      const float size = 1.0f / std::sqrt(1.0f + static_cast<float>(i));
      matrix.row(r)[i] = 0.3f + size * (center[i] + 0.7f * normal(random));
    }
  }
  return matrix;
}

}  // namespace bebr

#endif  // BEBR_TESTS_UNIT_FIT_CLUSTERS_H_
