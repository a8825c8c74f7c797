#include "index/train/sgemm.h"

#include <dnnl.h>

namespace bebr {

void Sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, const float* a, const float* b, float* c) {
  if (m == 0 || n == 0) return;
  dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', static_cast<dnnl_dim_t>(m), static_cast<dnnl_dim_t>(n),
             static_cast<dnnl_dim_t>(k), 1.0f, a, static_cast<dnnl_dim_t>(transpose_a ? m : k), b,
             static_cast<dnnl_dim_t>(transpose_b ? k : n), 0.0f, c, static_cast<dnnl_dim_t>(n));
}

}  // namespace bebr
