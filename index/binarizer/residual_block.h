// The layers of a model, ready to run on the kernel tables.
#ifndef BEBR_INDEX_BINARIZER_RESIDUAL_BLOCK_H_
#define BEBR_INDEX_BINARIZER_RESIDUAL_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/base/aligned_buffer.h"
#include "index/binarizer/model.h"

namespace bebr {

// A DenseLayer is a weight matrix in the order of the kernel table that this process uses, and its bias.
class DenseLayer {
 public:
  DenseLayer() = default;
  DenseLayer(const std::vector<float>& weight, const std::vector<float>& bias, size_t inputs, size_t outputs);

  bool empty() const { return packed_.empty(); }
  // out (rows x outputs) = x (rows x inputs) * weight^T + bias, both without padding between rows.
  void Apply(const float* x, size_t rows, float* out) const;
  size_t outputs() const { return outputs_; }
  size_t memory_bytes() const { return (packed_.size() + bias_.size()) * sizeof(float); }

 private:
  size_t inputs_ = 0;
  size_t outputs_ = 0;
  std::vector<float> bias_;
  AlignedBuffer<float> packed_;
};

// A ResidualBlock is linear(x) + mlp(x); the MLP is absent in linear models.
class ResidualBlock {
 public:
  ResidualBlock() = default;
  ResidualBlock(const BlockParameters& block, const std::vector<float>& linear_weight,
                const std::vector<uint32_t>& hidden, size_t inputs, size_t outputs);

  bool empty() const { return linear_.empty(); }
  // `scratch` has room for rows * scratch_floats() floats.
  void Apply(const float* x, size_t rows, float* out, float* scratch) const;
  size_t scratch_floats() const { return scratch_floats_; }
  size_t memory_bytes() const;

 private:
  DenseLayer linear_;
  std::vector<DenseLayer> mlp_;
  size_t scratch_floats_ = 0;
  size_t widest_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_RESIDUAL_BLOCK_H_
