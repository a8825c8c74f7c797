#include "index/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace bebr {
namespace {

using torch::Tensor;

constexpr double kMaxGradientNorm = 1.0;
constexpr double kBandWeightRate = 10.0;  // a handful of logarithms can and must move faster than a matrix
constexpr int64_t kHandful = 8;

}  // namespace

Optimizer::Optimizer(std::vector<Tensor> parameters, double peak_rate, int64_t steps)
    : parameters_(std::move(parameters)), peak_rate_(peak_rate), steps_(steps) {
  for (const Tensor& parameter : parameters_) {
    first_.push_back(torch::zeros_like(parameter));
    second_.push_back(torch::zeros_like(parameter));
  }
}

void Optimizer::Step(int64_t step) {
  torch::NoGradGuard no_grad;
  double squared = 0.0;
  for (const Tensor& parameter : parameters_) {
    if (parameter.grad().defined()) squared += parameter.grad().square().sum().item<double>();
  }
  if (!std::isfinite(squared)) return;  // one bad batch must not ruin the model
  const double clip = std::min(1.0, kMaxGradientNorm / (std::sqrt(squared) + 1e-12));
  const double t = static_cast<double>(step + 1);
  const double rate = Rate(step) * std::sqrt(1.0 - std::pow(0.999, t)) / (1.0 - std::pow(0.9, t));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].grad().defined()) continue;
    const double own_rate = parameters_[i].numel() <= kHandful ? kBandWeightRate * rate : rate;
    const Tensor gradient = parameters_[i].grad() * clip;
    first_[i].mul_(0.9).add_(gradient, 0.1);
    second_[i].mul_(0.999).addcmul_(gradient, gradient, 0.001);
    parameters_[i].addcdiv_(first_[i], second_[i].sqrt().add_(1e-8), -own_rate);
    parameters_[i].mutable_grad() = Tensor();
  }
}

double Optimizer::Rate(int64_t step) const {
  const double position = static_cast<double>(step) / static_cast<double>(steps_), warm = 0.1;
  const double shape = position < warm ? 0.04 + 0.96 * position / warm
                                       : 0.5 * (1.0 + std::cos(std::numbers::pi * (position - warm) / (1.0 - warm)));
  return peak_rate_ * factor_ * shape;
}

}  // namespace bebr
