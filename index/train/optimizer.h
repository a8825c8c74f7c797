// How parameters move along their gradients.
#ifndef BEBR_INDEX_TRAIN_OPTIMIZER_H_
#define BEBR_INDEX_TRAIN_OPTIMIZER_H_

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace bebr {

// Adam with a one-cycle learning rate and gradient clipping. Parameters of a handful of values move ten times as fast.
// The tensors are shared with the model that has them. Thread safety: none. Errors: libtorch throws c10::Error.
class Optimizer {
 public:
  Optimizer(std::vector<torch::Tensor> parameters, double peak_rate, int64_t steps);
  // Moves the parameters by their gradients, and forgets these. Does nothing if one is not finite.
  void Step(int64_t step);
  // Halves the learning rate from here on.
  void Halve() { factor_ *= 0.5; }
  double factor() const { return factor_; }
  void set_factor(double factor) { factor_ = factor; }
  std::vector<torch::Tensor>& first() { return first_; }
  std::vector<torch::Tensor>& second() { return second_; }

 private:
  double Rate(int64_t step) const;

  std::vector<torch::Tensor> parameters_, first_, second_;
  double peak_rate_;
  int64_t steps_;
  double factor_ = 1.0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_OPTIMIZER_H_
