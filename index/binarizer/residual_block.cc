#include "index/binarizer/residual_block.h"

#include <algorithm>

#include "index/simd/kernels.h"

namespace bebr {

DenseLayer::DenseLayer(const std::vector<float>& weight, const std::vector<float>& bias, size_t inputs, size_t outputs)
    : inputs_(inputs), outputs_(outputs), bias_(bias), packed_(simd::Kernels().packed_floats(outputs, inputs)) {
  simd::Kernels().pack(weight.data(), outputs, inputs, packed_.data());
}

void DenseLayer::Apply(const float* x, size_t rows, float* out) const {
  simd::Kernels().gemm(x, rows, inputs_, packed_.data(), outputs_, inputs_, bias_.empty() ? nullptr : bias_.data(), out,
                       outputs_);
}

ResidualBlock::ResidualBlock(const BlockParameters& block, const std::vector<float>& linear_weight,
                             const std::vector<uint32_t>& hidden, size_t inputs, size_t outputs)
    : linear_(linear_weight, block.linear.bias, inputs, outputs) {
  size_t width = inputs;
  for (size_t i = 0; i < block.mlp.size(); ++i) {
    const size_t layer_outputs = i < hidden.size() ? hidden[i] : outputs;
    mlp_.emplace_back(block.mlp[i].weight, block.mlp[i].bias, width, layer_outputs);
    width = layer_outputs;
    widest_ = std::max(widest_, width);
  }
  scratch_floats_ = 2 * widest_;
}

void ResidualBlock::Apply(const float* x, size_t rows, float* out, float* scratch) const {
  linear_.Apply(x, rows, out);
  if (mlp_.empty()) return;
  float* buffers[2] = {scratch, scratch + rows * widest_};
  const float* input = x;
  for (size_t i = 0; i < mlp_.size(); ++i) {
    float* output = buffers[i % 2];
    const size_t count = rows * mlp_[i].outputs();
    mlp_[i].Apply(input, rows, output);
    if (i + 1 < mlp_.size()) {
      for (size_t j = 0; j < count; ++j) output[j] = output[j] > 0.0f ? output[j] : 0.0f;
    } else {
      for (size_t j = 0; j < count; ++j) out[j] += output[j];
    }
    input = output;
  }
}

size_t ResidualBlock::memory_bytes() const {
  size_t bytes = linear_.memory_bytes();
  for (const DenseLayer& layer : mlp_) bytes += layer.memory_bytes();
  return bytes;
}

}  // namespace bebr
