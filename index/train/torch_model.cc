#include "index/train/torch_model.h"

#include <cmath>
#include <random>
#include <utility>

#include "index/binarizer/dot.h"
#include "index/train/sgemm.h"

namespace bebr {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The values of a code reach from -2 to 2. Found by trying 1 at every level and 1.25, 1.5, 2, 2.5 and 3 halved with
// every level: the halving is what gains, most where there are many levels.
constexpr double kReach = 2.0;
constexpr double kSmallestSquare = 1e-12;  // whose root still has a gradient

size_t Size(const Tensor& tensor, int64_t dimension) { return static_cast<size_t>(tensor.size(dimension)); }

class MultiplyFunction : public torch::autograd::Function<MultiplyFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x_any, const Tensor& w_any) {
    const Tensor x = x_any.contiguous(), w = w_any.contiguous();
    context->save_for_backward({x, w});
    Tensor out = torch::empty({x.size(0), w.size(0)}, x.options());
    Sgemm(false, true, Size(x, 0), Size(w, 0), Size(x, 1), x.data_ptr<float>(), w.data_ptr<float>(),
          out.data_ptr<float>());
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], g = gradients[0].contiguous();
    Tensor dx, dw;
    if (context->needs_input_grad(0)) {
      dx = torch::empty_like(x);
      Sgemm(false, false, Size(x, 0), Size(x, 1), Size(w, 0), g.data_ptr<float>(), w.data_ptr<float>(),
            dx.data_ptr<float>());
    }
    if (context->needs_input_grad(1)) {
      dw = torch::empty_like(w);
      Sgemm(true, false, Size(w, 0), Size(x, 1), Size(x, 0), g.data_ptr<float>(), x.data_ptr<float>(),
            dw.data_ptr<float>());
    }
    return {dx, dw};
  }
};

// sign(x) with sign(0) = +1; the gradient is the estimator's. `level` is that whose sign it is: its residuals are that
// many times halved, and so is the range in which the straight-through gradient passes.
class SignFunction : public torch::autograd::Function<SignFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, int64_t estimator, double sharpness, int64_t level) {
    context->save_for_backward({x});
    context->saved_data["reach"] = std::ldexp(kReach, -static_cast<int>(level));
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
        slope = (x.abs() <= context->saved_data["reach"].toDouble()).to(x.dtype());
        break;
    }
    return {gradients[0] * slope, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

std::vector<float> ToVector(const Tensor& tensor) {
  const Tensor flat = tensor.detach().to(torch::kFloat32).contiguous();
  return std::vector<float>(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
}

torch::Tensor MultiplyTransposed(const Tensor& x, const Tensor& w) { return MultiplyFunction::apply(x, w); }

Tensor TorchModel::Parameter(const std::vector<float>& values, std::vector<int64_t> shape) {
  Tensor tensor = torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat32).clone();
  tensor.set_requires_grad(true);
  parameters_.push_back(tensor);
  return tensor;
}

TorchModel::Dense TorchModel::MakeDense(const std::vector<float>& weight, const std::vector<float>& bias,
                                        int64_t inputs) {
  const auto outputs = static_cast<int64_t>(bias.size());
  return {Parameter(weight, {outputs, inputs}), Parameter(bias, {outputs})};
}

TorchModel::Block TorchModel::MakeBlock(const BlockParameters& block, const std::vector<float>& weight,
                                        int64_t inputs) {
  Block made;
  made.linear = MakeDense(weight, block.linear.bias, inputs);
  int64_t width = inputs;
  for (const LayerParameters& layer : block.mlp) {
    made.mlp.push_back(MakeDense(layer.weight, layer.bias, width));
    width = static_cast<int64_t>(layer.bias.size());
  }
  return made;
}

TorchModel::TorchModel(const Model& start) : start_(start) {
  const auto n = static_cast<int64_t>(start.input_dims), m = static_cast<int64_t>(start.components());
  mean_ = torch::from_blob(start_.mean.data(), {n}).clone();
  std::vector<float> log_weights;
  std::vector<int64_t> levels, band_of;
  size_t band = 0;
  const LevelPlan plan = start.levels();
  for (const LevelPlan::Run& run : plan.runs()) {
    band_of.insert(band_of.end(), run.dims, static_cast<int64_t>(log_weights.size()));
    levels.insert(levels.end(), run.dims, run.levels);
    log_weights.push_back(std::log(start.spec.bands()[band].weight));
    band += run.bands();  // a band of further levels has its weight
  }
  levels_ = torch::tensor(levels);
  band_of_ = torch::tensor(band_of);
  log_weights_ = Parameter(log_weights, {static_cast<int64_t>(log_weights.size())});
  project_ = MakeBlock(start.project, start.project.linear.weight, n);
  if (start.has_query_projection()) query_ = MakeBlock(start.query, start.query.linear.weight, n);
  for (const StepParameters& parameters : start.steps) {
    Step step;
    const auto& own = parameters.residual.linear.weight;
    step.residual = MakeBlock(parameters.residual, own.empty() ? start.project.linear.weight : own, n);
    if (start.residual_form == ResidualForm::kInput) {
      step.reconstruct = MakeBlock(parameters.reconstruct, parameters.reconstruct.linear.weight, m);
    } else {
      std::vector<float> feedback = parameters.feedback;
      if (feedback.empty()) {
        feedback.assign(m * m, 0.0f);
        for (int64_t i = 0; i < m; ++i) feedback[i * m + i] = 1.0f;
      }
      for (float& value : feedback) value *= parameters.gain;
      step.feedback = Parameter(feedback, {m, m});
    }
    steps_.push_back(std::move(step));
  }
  if (start.factors.has_value()) {
    norm_ = MakeDense(start.factors->squared_norm, {start.factors->squared_norm_bias}, n);
    offset_ = MakeDense(start.factors->offset, {start.factors->offset_bias}, n);
  }
}

Tensor TorchModel::Apply(const Dense& layer, const Tensor& x) {
  return MultiplyTransposed(x, layer.weight) + layer.bias;
}

Tensor TorchModel::Apply(const Block& block, const Tensor& x) {
  const Tensor out = Apply(block.linear, x);
  if (block.mlp.empty()) return out;
  Tensor hidden = x;
  for (size_t i = 0; i < block.mlp.size(); ++i) {
    hidden = Apply(block.mlp[i], hidden);
    if (i + 1 < block.mlp.size()) hidden = torch::relu(hidden);
  }
  return out + hidden;
}

Tensor TorchModel::BandWeights() const { return log_weights_.exp().index_select(0, band_of_); }

TorchModel::Centered TorchModel::Center(const Tensor& x) const {
  const double root = std::sqrt(static_cast<double>(start_.input_dims));
  const Tensor centered = x - mean_;
  const Tensor norm = centered.norm(2, {1}, true).clamp_min(1e-30);
  const Tensor offset = start_.metric == Metric::kL2 ? -norm.square().squeeze(1) : (x * mean_).sum(1);
  Centered rows = {centered * (root / norm), norm.squeeze(1), offset};
  if (start_.factors.has_value()) {
    rows.norm = Apply(norm_, x).squeeze(1).clamp_min(kSmallestSquare).sqrt();
    rows.offset = Apply(offset_, x).squeeze(1);
  }
  return rows;
}

std::vector<Tensor> TorchModel::Projections(const Tensor& x) const {
  const Centered rows = Center(x);
  std::vector<Tensor> values = {Apply(project_, rows.u)};
  for (const Step& step : steps_) values.push_back(Apply(step.residual, rows.u));
  values.push_back(start_.has_query_projection() ? Apply(query_, rows.u) : values[0]);
  return values;
}

std::pair<Tensor, Tensor> TorchModel::NormsAndOffsets(const Tensor& x) const {
  const Centered rows = Center(x);
  return {rows.norm, rows.offset};
}

Tensor TorchModel::Recur(const Tensor& u, const Tensor& y, const Tensor& own_levels, Estimator estimator,
                         double sharpness) const {
  const auto sign = [&](const Tensor& value, int64_t level) {
    return SignFunction::apply(value, static_cast<int64_t>(estimator), sharpness, level);
  };
  Tensor code = sign(y, 0), kept = code;
  const int64_t most = own_levels.max().item<int64_t>();
  const auto residual_of = [&](int64_t t) {
    if (start_.quantizer == Quantizer::kFitted) return y - code;
    const Step& step = steps_[t - 1];
    return start_.residual_form == ResidualForm::kCode
               ? Apply(step.residual, u) - MultiplyTransposed(code, step.feedback)
               : Apply(step.residual, u - Apply(step.reconstruct, code));
  };
  for (int64_t t = 1; t < most; ++t) {
    const Tensor residual = residual_of(t);
    const Tensor change = sign(residual, t) * std::ldexp(1.0, -static_cast<int>(t));
    code = code + change;
    kept = kept + change * (own_levels > t);
  }
  return kept;
}

TorchCodes TorchModel::WithFactors(const Centered& rows, const Tensor& y, const Tensor& code) const {
  const Tensor weights = BandWeights();
  const Tensor energy = (y * y * weights).sum(1), agreement = (code * y * weights).sum(1).clamp_min(1e-30);
  return {code, rows.norm * energy / agreement, rows.offset};
}

TorchCodes TorchModel::EncodeDocuments(const Tensor& x, int64_t level_cap, Estimator estimator,
                                       double sharpness) const {
  const Centered rows = Center(x);
  const Tensor y = Apply(project_, rows.u);
  return WithFactors(rows, y, Recur(rows.u, y, levels_.clamp_max(level_cap), estimator, sharpness));
}

TorchCodes TorchModel::EncodeQueries(const Tensor& x, Estimator estimator, double sharpness) const {
  const Centered rows = Center(x);
  if (start_.quantizer == Quantizer::kFitted) {
    const Tensor y = Apply(start_.has_query_projection() ? query_ : project_, rows.u);
    return {y, rows.norm, rows.offset};
  }
  if (!start_.has_query_projection()) {
    const Tensor y = Apply(project_, rows.u);
    const Tensor all = torch::full_like(levels_, static_cast<int64_t>(start_.query_levels));
    return WithFactors(rows, y, Recur(rows.u, y, all, estimator, sharpness));
  }
  const Tensor y = Apply(query_, rows.u);
  Tensor code = torch::zeros_like(y);
  for (uint32_t t = 0; t < start_.query_levels; ++t) {
    code = code + SignFunction::apply(y - code, static_cast<int64_t>(estimator), sharpness, int64_t{t}) *
                      std::ldexp(1.0, -static_cast<int>(t));
  }
  return WithFactors(rows, y, code);
}

Tensor TorchModel::Scores(const TorchCodes& queries, const TorchCodes& documents) const {
  const double unit =
      start_.factors.has_value() ? start_.factors->query_scale : ProductFactor(start_.metric) / start_.input_dims;
  const Tensor scale = queries.scale * unit;
  const Tensor weighted = queries.code * BandWeights() * scale.unsqueeze(1);
  return MultiplyTransposed(weighted, documents.code * documents.scale.unsqueeze(1)) + documents.offset.unsqueeze(0);
}

LayerParameters TorchModel::Values(const Dense& layer) { return {ToVector(layer.weight), ToVector(layer.bias)}; }

BlockParameters TorchModel::Values(const Block& block) {
  BlockParameters values;
  values.linear = Values(block.linear);
  for (const Dense& layer : block.mlp) values.mlp.push_back(Values(layer));
  return values;
}

Model TorchModel::ToModel(const std::vector<Tensor>& parameters) const {
  torch::NoGradGuard no_grad;
  TorchModel copy(start_);
  for (size_t i = 0; i < parameters.size(); ++i) copy.parameters_[i].copy_(parameters[i]);
  Model model = start_;
  const std::vector<float> weights = ToVector(copy.log_weights_.exp());
  if (auto spec = CodeSpec::Create(model.levels().Bands(weights)); spec.ok()) model.spec = *std::move(spec);
  model.project = Values(copy.project_);
  if (start_.has_query_projection()) model.query = Values(copy.query_);
  for (size_t t = 0; t < copy.steps_.size(); ++t) {
    StepParameters& step = model.steps[t];
    step.gain = 1.0f;
    step.residual = Values(copy.steps_[t].residual);
    if (model.residual_form == ResidualForm::kInput) {
      step.reconstruct = Values(copy.steps_[t].reconstruct);
    } else {
      step.feedback = ToVector(copy.steps_[t].feedback);
    }
  }
  if (model.factors.has_value()) {
    model.factors->squared_norm = ToVector(copy.norm_.weight);
    model.factors->squared_norm_bias = copy.norm_.bias.item<float>();
    model.factors->offset = ToVector(copy.offset_.weight);
    model.factors->offset_bias = copy.offset_.bias.item<float>();
  }
  return model;
}

void AddMlp(BlockParameters& block, const std::vector<uint32_t>& hidden, size_t inputs, std::mt19937_64& random) {
  block.mlp.clear();
  size_t width = inputs;
  for (size_t i = 0; !hidden.empty() && i <= hidden.size(); ++i) {
    const bool last = i == hidden.size();
    const size_t size = last ? block.linear.bias.size() : hidden[i];
    LayerParameters layer{std::vector<float>(size * width, 0.0f), std::vector<float>(size, 0.0f)};
    std::normal_distribution<float> normal(0.0f, 1.0f / std::sqrt(static_cast<float>(width)));
    for (float& value : layer.weight) value = last ? 0.0f : normal(random);
    block.mlp.push_back(std::move(layer));
    width = size;
  }
}

namespace {

Model WithHidden(const Model& start, const std::vector<uint32_t>& hidden, std::mt19937_64& random) {
  Model model = start;
  model.hidden = hidden;
  AddMlp(model.project, hidden, start.input_dims, random);
  return model;
}

// B = W's transpose, scaled so that it undoes the projection; with more code dims than inputs, so that it averages.
BlockParameters Transposed(const std::vector<float>& weight, size_t n, size_t m) {
  const float spread = m > n ? static_cast<float>(m) / static_cast<float>(n) : 1.0f;
  BlockParameters block;
  block.linear.weight.assign(n * m, 0.0f);
  block.linear.bias.assign(n, 0.0f);
  for (size_t j = 0; j < m; ++j) {
    const float* row = weight.data() + j * n;
    float squared = 0.0f;
    for (size_t i = 0; i < n; ++i) squared += row[i] * row[i];
    for (size_t i = 0; squared > 0.0f && i < n; ++i) block.linear.weight[i * m + j] = row[i] / (squared * spread);
  }
  return block;
}

}  // namespace

Model ToTrainable(const Model& start, ResidualForm form, const std::vector<uint32_t>& hidden, uint64_t seed) {
  std::mt19937_64 random(seed);
  Model model = WithHidden(start, hidden, random);
  const size_t n = start.input_dims, m = start.components();
  model.residual_form = form;
  model.query.linear = start.project.linear;
  model.steps.resize(model.step_count());
  for (StepParameters& step : model.steps) {
    if (step.residual.linear.weight.empty()) step.residual.linear.weight = start.project.linear.weight;
    if (form == ResidualForm::kCode) continue;
    step.feedback.clear();
    step.reconstruct = Transposed(start.project.linear.weight, n, m);
    AddMlp(step.residual, hidden, n, random);
    AddMlp(step.reconstruct, hidden, m, random);
  }
  return model;
}

Model WithHidden(const Model& start, const std::vector<uint32_t>& hidden, const std::vector<uint32_t>& query_hidden,
                 uint64_t seed) {
  std::mt19937_64 random(seed);
  Model model = WithHidden(start, hidden, random);
  model.query_hidden = query_hidden;
  AddMlp(model.query, query_hidden, start.input_dims, random);
  return model;
}

}  // namespace bebr
