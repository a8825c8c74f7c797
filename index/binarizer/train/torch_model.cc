#include "index/binarizer/train/torch_model.h"

#include <cmath>
#include <random>
#include <utility>

#include "index/binarizer/train/linear_algebra.h"

namespace bebr {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kNormEpsilon = 1e-5;
constexpr double kNormMomentum = 0.1;

size_t Size(const Tensor& tensor, int64_t dimension) { return static_cast<size_t>(tensor.size(dimension)); }

class MultiplyFunction : public torch::autograd::Function<MultiplyFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x_any, const Tensor& w_any) {
    const Tensor x = x_any.contiguous(), w = w_any.contiguous();
    context->save_for_backward({x, w});
    Tensor out = torch::empty({x.size(0), w.size(0)}, x.options());
    Multiply(false, true, Size(x, 0), Size(w, 0), Size(x, 1), x.data_ptr<float>(), w.data_ptr<float>(),
             out.data_ptr<float>());
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], g = gradients[0].contiguous();
    Tensor dx, dw;
    if (context->needs_input_grad(0)) {
      dx = torch::empty_like(x);
      Multiply(false, false, Size(x, 0), Size(x, 1), Size(w, 0), g.data_ptr<float>(), w.data_ptr<float>(),
               dx.data_ptr<float>());
    }
    if (context->needs_input_grad(1)) {
      dw = torch::empty_like(w);
      Multiply(true, false, Size(w, 0), Size(x, 1), Size(x, 0), g.data_ptr<float>(), x.data_ptr<float>(),
               dw.data_ptr<float>());
    }
    return {dx, dw};
  }
};

// sign(x) with sign(0) = +1; the gradient is the estimator's.
class SignFunction : public torch::autograd::Function<SignFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, int64_t estimator, double sharpness) {
    context->save_for_backward({x});
    context->saved_data["estimator"] = estimator;
    context->saved_data["sharpness"] = sharpness;
    return torch::where(x >= 0, torch::ones_like(x), -torch::ones_like(x));
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Tensor x = context->get_saved_variables()[0];
    const double sharpness = context->saved_data["sharpness"].toDouble();
    Tensor slope;
    switch (static_cast<Estimator>(context->saved_data["estimator"].toInt())) {
      case Estimator::kReste:  // d/dx sign(x)|x|^(1/o), bounded near zero
        slope = (x.abs().clamp_min(0.05).pow(1.0 / sharpness - 1.0) / sharpness) * (x.abs() <= 1.5);
        break;
      case Estimator::kTanh:
        slope = 1.0 - x.tanh().square();
        break;
      case Estimator::kStraightThrough:
        slope = (x.abs() <= 1.0).to(x.dtype());
        break;
    }
    return {gradients[0] * slope, Tensor(), Tensor()};
  }
};

std::vector<float> ToVector(const Tensor& tensor) {
  const Tensor flat = tensor.detach().to(torch::kFloat32).contiguous();
  return std::vector<float>(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
}

}  // namespace

torch::Tensor MultiplyTransposed(const Tensor& x, const Tensor& w) { return MultiplyFunction::apply(x, w); }

Tensor TorchModel::Parameter(const std::vector<float>& values, std::vector<int64_t> shape) {
  Tensor tensor = torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat32).clone();
  tensor.set_requires_grad(true);
  parameters_.push_back(tensor);
  return tensor;
}

Tensor TorchModel::Buffer(Tensor value) {
  buffers_.push_back(value);
  return value;
}

TorchModel::Block TorchModel::MakeBlock(const BlockParameters& block, const std::vector<float>& weight, int64_t inputs,
                                        int64_t outputs) {
  Block made;
  made.linear = {Parameter(weight, {outputs, inputs}), Parameter(block.linear.bias, {outputs})};
  int64_t width = inputs;
  for (size_t i = 0; i < block.mlp.size(); ++i) {
    const auto size = static_cast<int64_t>(block.mlp[i].bias.size());
    made.mlp.push_back({Parameter(block.mlp[i].weight, {size, width}), Parameter(block.mlp[i].bias, {size})});
    if (i + 1 < block.mlp.size()) {
      made.norms.push_back({Parameter(std::vector<float>(size, 1.0f), {size}),
                            Parameter(std::vector<float>(size, 0.0f), {size}), Buffer(torch::zeros({size})),
                            Buffer(torch::ones({size}))});
    }
    width = size;
  }
  return made;
}

TorchModel::TorchModel(const Model& start) : start_(start) {
  const auto n = static_cast<int64_t>(start.input_dims), m = static_cast<int64_t>(start.spec.dims());
  mean_ = torch::from_blob(start_.mean.data(), {n}).clone();
  std::vector<float> log_weights;
  std::vector<int64_t> levels, band_of;
  for (size_t b = 0; b < start.spec.bands().size(); ++b) {
    const Band& band = start.spec.bands()[b];
    log_weights.push_back(std::log(band.weight));
    levels.insert(levels.end(), band.dims, band.levels);
    band_of.insert(band_of.end(), band.dims, static_cast<int64_t>(b));
  }
  levels_ = torch::tensor(levels);
  band_of_ = torch::tensor(band_of);
  log_weights_ = Parameter(log_weights, {static_cast<int64_t>(log_weights.size())});
  project_ = MakeBlock(start.project, start.project.linear.weight, n, m);
  for (const StepParameters& parameters : start.steps) {
    Step step;
    if (start.residual_form == ResidualForm::kInput) {
      const auto& own = parameters.residual.linear.weight;
      step.residual = MakeBlock(parameters.residual, own.empty() ? start.project.linear.weight : own, n, m);
      step.reconstruct = MakeBlock(parameters.reconstruct, parameters.reconstruct.linear.weight, m, n);
    } else {
      std::vector<float> feedback = parameters.feedback;
      if (feedback.empty()) {
        feedback.assign(m * m, 0.0f);
        for (int64_t i = 0; i < m; ++i) feedback[i * m + i] = 1.0f;
      }
      for (float& value : feedback) value *= parameters.gain;
      step.feedback = Parameter(feedback, {m, m});
      step.bias = Parameter(parameters.residual.linear.bias, {m});
    }
    steps_.push_back(std::move(step));
  }
}

Tensor TorchModel::Apply(const Block& block, const Tensor& x, bool training) const {
  Tensor out = MultiplyTransposed(x, block.linear.weight) + block.linear.bias;
  if (block.mlp.empty()) return out;
  Tensor hidden = x;
  for (size_t i = 0; i < block.mlp.size(); ++i) {
    hidden = MultiplyTransposed(hidden, block.mlp[i].weight) + block.mlp[i].bias;
    if (i + 1 == block.mlp.size()) break;
    const Norm& norm = block.norms[i];
    hidden = torch::relu(torch::batch_norm(hidden, norm.gamma, norm.beta, norm.mean, norm.variance, training,
                                           kNormMomentum, kNormEpsilon, false));
  }
  return out + hidden;
}

Tensor TorchModel::BandWeights() const { return log_weights_.exp().index_select(0, band_of_); }

TorchCodes TorchModel::Encode(const Tensor& x, bool query, int64_t level_cap, Estimator estimator, double sharpness,
                              bool training) const {
  const double root = std::sqrt(static_cast<double>(start_.input_dims));
  const Tensor centered = x - mean_;
  const Tensor norm = centered.norm(2, {1}, true).clamp_min(1e-30);
  const Tensor u = centered * (root / norm);
  const Tensor y = Apply(project_, u, training);
  const auto sign = [&](const Tensor& value) {
    return SignFunction::apply(value, static_cast<int64_t>(estimator), sharpness);
  };
  Tensor code = sign(y), kept = code;
  const Tensor own_levels =
      query ? torch::full_like(levels_, static_cast<int64_t>(start_.query_levels)) : levels_.clamp_max(level_cap);
  const int64_t most = own_levels.max().item<int64_t>();
  for (int64_t t = 1; t < most; ++t) {
    const Step& step = steps_[t - 1];
    Tensor residual;
    if (start_.residual_form == ResidualForm::kCode) {
      const Tensor shared = y - project_.linear.bias + step.bias;
      residual = shared - MultiplyTransposed(code, step.feedback);
    } else {
      residual = Apply(step.residual, u - Apply(step.reconstruct, code, training), training);
    }
    const Tensor change = sign(residual) * std::ldexp(1.0, -static_cast<int>(t));
    code = code + change;
    kept = kept + change * (own_levels > t);
  }
  const Tensor weights = BandWeights();
  const Tensor energy = (y * y * weights).sum(1), agreement = (kept * y * weights).sum(1).clamp_min(1e-30);
  TorchCodes codes;
  codes.code = kept;
  codes.scale = norm.squeeze(1) * energy / agreement;
  codes.offset = (x * mean_).sum(1);
  return codes;
}

Tensor TorchModel::Scores(const TorchCodes& queries, const TorchCodes& documents) const {
  const Tensor dots = MultiplyTransposed(queries.code * BandWeights(), documents.code);
  const Tensor query_scale = queries.scale / static_cast<double>(start_.input_dims);
  return dots * query_scale.unsqueeze(1) * documents.scale.unsqueeze(0) + documents.offset.unsqueeze(0);
}

BlockParameters TorchModel::Fold(const Block& block) {
  BlockParameters folded;
  folded.linear = {ToVector(block.linear.weight), ToVector(block.linear.bias)};
  for (size_t i = 0; i < block.mlp.size(); ++i) {
    Tensor weight = block.mlp[i].weight.detach(), bias = block.mlp[i].bias.detach();
    if (i < block.norms.size()) {
      const Norm& norm = block.norms[i];
      const Tensor scale = norm.gamma.detach() / (norm.variance + kNormEpsilon).sqrt();
      weight = weight * scale.unsqueeze(1);
      bias = (bias - norm.mean) * scale + norm.beta.detach();
    }
    folded.mlp.push_back({ToVector(weight), ToVector(bias)});
  }
  return folded;
}

Model TorchModel::ToModel(const std::vector<Tensor>& parameters, const std::vector<Tensor>& buffers) const {
  torch::NoGradGuard no_grad;
  TorchModel copy(start_);
  for (size_t i = 0; i < parameters.size(); ++i) copy.parameters_[i].copy_(parameters[i]);
  for (size_t i = 0; i < buffers.size(); ++i) copy.buffers_[i].copy_(buffers[i]);
  Model model = start_;
  std::vector<Band> bands = model.spec.bands();
  for (size_t b = 0; b < bands.size(); ++b)
    bands[b].weight = copy.log_weights_.index({static_cast<int64_t>(b)}).exp().item<float>();
  if (auto spec = CodeSpec::Create(std::move(bands)); spec.ok()) model.spec = *std::move(spec);
  model.project = Fold(copy.project_);
  for (size_t t = 0; t < copy.steps_.size(); ++t) {
    StepParameters& step = model.steps[t];
    step.gain = 1.0f;
    if (model.residual_form == ResidualForm::kInput) {
      step.residual = Fold(copy.steps_[t].residual);
      step.reconstruct = Fold(copy.steps_[t].reconstruct);
    } else {
      step.feedback = ToVector(copy.steps_[t].feedback);
      step.residual.linear.bias = ToVector(copy.steps_[t].bias);
    }
  }
  return model;
}

Model WithHiddenLayers(const Model& start, const std::vector<uint32_t>& hidden, uint64_t seed) {
  Model model = start;
  model.hidden = hidden;
  model.residual_form = ResidualForm::kInput;
  const size_t n = start.input_dims, m = start.spec.dims();
  std::mt19937_64 random(seed);
  const auto add_mlp = [&](BlockParameters& block, size_t inputs, size_t outputs) {
    block.mlp.clear();
    size_t width = inputs;
    for (size_t i = 0; i <= hidden.size(); ++i) {
      const bool last = i == hidden.size();
      const size_t size = last ? outputs : hidden[i];
      LayerParameters layer{std::vector<float>(size * width, 0.0f), std::vector<float>(size, 0.0f)};
      std::normal_distribution<float> normal(0.0f, 1.0f / std::sqrt(static_cast<float>(width)));
      for (float& value : layer.weight) value = last ? 0.0f : normal(random);
      block.mlp.push_back(std::move(layer));
      width = size;
    }
  };
  add_mlp(model.project, n, m);
  for (StepParameters& step : model.steps) {
    step.gain = 1.0f;
    step.feedback.clear();
    if (step.residual.linear.weight.empty()) step.residual.linear.weight = start.project.linear.weight;
    add_mlp(step.residual, n, m);
    // The transpose, scaled so that it undoes the projection; with more code dims than inputs, so that it averages.
    const float spread = m > n ? static_cast<float>(m) / static_cast<float>(n) : 1.0f;
    step.reconstruct.linear.weight.assign(n * m, 0.0f);
    step.reconstruct.linear.bias.assign(n, 0.0f);
    for (size_t j = 0; j < m; ++j) {
      const float* row = start.project.linear.weight.data() + j * n;
      float squared = 0.0f;
      for (size_t i = 0; i < n; ++i) squared += row[i] * row[i];
      for (size_t i = 0; squared > 0.0f && i < n; ++i)
        step.reconstruct.linear.weight[i * m + j] = row[i] / (squared * spread);
    }
    add_mlp(step.reconstruct, m, n);
  }
  return model;
}

}  // namespace bebr
