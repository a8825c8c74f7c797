// The dense layer of the vector tables. Weights are packed into panels of kPanel vectors of outputs, input after input,
// so that the inner loop reads them in order; a tile of rows x panels keeps its sums in registers over the whole of k.
// Every output is one chain of fused multiply-adds in ascending order of the inputs, whatever the tile: results do not
// depend on the shape.
//
// Beside what score_driver.h asks of a Vec type: kPanel, and kGemmRows, the most rows of a tile.
#ifndef BEBR_INDEX_SIMD_GEMM_H_
#define BEBR_INDEX_SIMD_GEMM_H_

#include <cstddef>
#include <cstring>

namespace bebr::simd {
namespace {

template <typename Vec>
constexpr size_t kPanelFloats = size_t{Vec::kPanel} * Vec::kFloats;

template <typename Vec>
size_t VecPackedFloats(size_t n, size_t k) {
  return (n + kPanelFloats<Vec> - 1) / kPanelFloats<Vec> * kPanelFloats<Vec> * k;
}

// Inputs are taken a cache line at a time: rows of weights often lie so far apart that their lines of one input push
// each other out of the cache.
template <typename Vec>
void VecPack(const float* weights, size_t n, size_t k, float* packed) {
  constexpr size_t kWidth = kPanelFloats<Vec>, kLine = 16;
  for (size_t j0 = 0; j0 < n; j0 += kWidth, packed += kWidth * k) {
    for (size_t i0 = 0; i0 < k; i0 += kLine) {
      const size_t end = i0 + kLine < k ? i0 + kLine : k;
      for (size_t j = j0; j < j0 + kWidth; ++j) {
        for (size_t i = i0; i < end; ++i) packed[i * kWidth + (j - j0)] = j < n ? weights[j * k + i] : 0.0f;
      }
    }
  }
}

// A tile of the product: where its inputs, weights and outputs lie.
struct GemmTask {
  const float* x;
  size_t x_stride;
  const float* packed;  // the tile's first panel
  size_t n;             // outputs from the tile's first on
  size_t k;
  const float* bias;  // from the tile's first output on, or null
  float* out;
  size_t out_stride;
};

// kRows rows times kPanels panels.
template <typename Vec, int kRows, int kPanels>
void GemmTile(const GemmTask& task) {
  constexpr size_t kWidth = kPanelFloats<Vec>;
  constexpr size_t kColumns = kWidth * kPanels;
  constexpr int kVectors = Vec::kPanel * kPanels;
  const size_t valid = task.n < kColumns ? task.n : kColumns;
  typename Vec::F acc[kRows][kVectors];
  float edge[kColumns] = {};
  if (task.bias != nullptr) std::memcpy(edge, task.bias, valid * sizeof(float));
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) acc[r][v] = Vec::LoadF(edge + v * Vec::kFloats);
  }
  const size_t panel_size = kWidth * task.k;
  const float* weights = task.packed;
  for (size_t i = 0; i < task.k; ++i, weights += kWidth) {
    // Weights of one input in registers, then row after row: the broadcasts of several rows must not live at once.
    typename Vec::F w[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      w[v] = Vec::LoadF(weights + (v / Vec::kPanel) * panel_size + (v % Vec::kPanel) * Vec::kFloats);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const auto value = Vec::SetF(task.x[r * task.x_stride + i]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[r][v] = Vec::Fma(value, w[v], acc[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    float* out = task.out + r * task.out_stride;
    if (valid == kColumns) {
      for (int v = 0; v < kVectors; ++v) Vec::StoreF(out + v * Vec::kFloats, acc[r][v]);
    } else {
      for (int v = 0; v < kVectors; ++v) Vec::StoreF(edge + v * Vec::kFloats, acc[r][v]);
      std::memcpy(out, edge, valid * sizeof(float));
    }
  }
}

// One tile of exactly `rows` rows, found by counting down.
template <typename Vec, int kRows>
void GemmTileOf(size_t rows, const GemmTask& task) {
  if (rows == kRows) return GemmTile<Vec, kRows, 1>(task);
  if constexpr (kRows > 1) GemmTileOf<Vec, kRows - 1>(rows, task);
}

// Few rows have too few chains to keep the multipliers busy: they take several panels at once.
template <typename Vec>
size_t GemmFewRows(size_t rows, size_t panels_left, const GemmTask& task) {
  if (rows == 1 && panels_left >= 4) return GemmTile<Vec, 1, 4>(task), 4;
  if (rows == 2 && panels_left >= 2) return GemmTile<Vec, 2, 2>(task), 2;
  if (rows == 3 && panels_left >= 2) return GemmTile<Vec, 3, 2>(task), 2;
  return GemmTileOf<Vec, 3>(rows, task), 1;
}

template <typename Vec>
void VecGemm(const float* x, size_t rows, size_t x_stride, const float* packed, size_t n, size_t k, const float* bias,
             float* out, size_t out_stride) {
  constexpr size_t kWidth = kPanelFloats<Vec>;
  const size_t panels = (n + kWidth - 1) / kWidth;
  for (size_t p = 0; p < panels;) {
    const size_t j = p * kWidth;
    GemmTask task = {x, x_stride, packed + j * k, n - j, k, bias == nullptr ? nullptr : bias + j, out + j, out_stride};
    if (rows <= 3) {
      p += GemmFewRows<Vec>(rows, panels - p, task);
      continue;
    }
    // Tiles of nearly equal height: a last one of a row or two would run at a fraction of the speed.
    const size_t tiles = (rows + Vec::kGemmRows - 1) / Vec::kGemmRows;
    for (size_t t = 0, r = 0; t < tiles; ++t) {
      const size_t height = (rows - r + tiles - t - 1) / (tiles - t);
      task.x = x + r * x_stride;
      task.out = out + r * out_stride + j;
      GemmTileOf<Vec, Vec::kGemmRows>(height, task);
      r += height;
    }
    ++p;
  }
}

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_GEMM_H_
