#include "index/train/torch_translation.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "index/train/torch_groups.h"
#include "index/train/torch_model.h"

namespace bebr {
namespace {

using torch::Tensor;

double Squared(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return sum;
}

// What makes rows less their mean have variance 1, by the length that they have: 1 for cosine.
double InputScale(const Model& model) {
  const Translation& translation = *model.translation;
  const double length = model.metric == Metric::kCosine ? 1.0 : static_cast<double>(translation.row_length);
  const double squared = length > 0.0 ? length * length : 1.0;
  return std::sqrt(translation.input_dims / std::max(squared - Squared(translation.mean), 1e-6 * squared));
}

}  // namespace

TorchTranslation::TorchTranslation(const Model& start) : start_(start) {
  const Translation& translation = *start_.translation;
  mean_ = torch::tensor(translation.mean);
  input_scale_ = InputScale(start_);
  output_scale_ =
      std::sqrt(std::max(Squared(translation.document.linear.weight), 1e-30) / start_.input_dims) / input_scale_;
  document_ = MakeBlock(translation.document);
  if (!translation.query.linear.weight.empty()) query_ = MakeBlock(translation.query);
  if (start_.spec.groups() > 1) {
    inner_ = std::make_unique<TorchGroups>(start_);  // which knows of the constants
  } else {
    inner_ = std::make_unique<TorchModel>(start_);
  }
  for (Tensor parameter : inner_->parameters()) parameter.set_requires_grad(false);
}

TorchTranslation::Block TorchTranslation::MakeBlock(const BlockParameters& block) {
  Block made;
  const auto add = [&](const LayerParameters& layer, double weight_scale, double bias_scale) {
    const auto outputs = static_cast<int64_t>(layer.bias.size());
    Tensor weight = torch::tensor(layer.weight).reshape({outputs, -1}) * weight_scale;
    Tensor bias = torch::tensor(layer.bias) * bias_scale;
    made.emplace_back(weight.set_requires_grad(true), bias.set_requires_grad(true));
    parameters_.push_back(weight);
    parameters_.push_back(bias);
  };
  add(block.linear, 1.0 / (input_scale_ * output_scale_), 1.0 / output_scale_);
  for (size_t i = 0; i < block.mlp.size(); ++i) {
    const double out = i + 1 < block.mlp.size() ? 1.0 : output_scale_;
    add(block.mlp[i], 1.0 / (out * (i == 0 ? input_scale_ : 1.0)), 1.0 / out);
  }
  return made;
}

BlockParameters TorchTranslation::Values(const std::vector<Tensor>& parameters, size_t first, size_t layers) const {
  BlockParameters block;
  for (size_t i = 0; i < layers; ++i) {
    const double in = i < 2 ? input_scale_ : 1.0, out = i == 0 || i + 1 == layers ? output_scale_ : 1.0;
    LayerParameters layer{ToVector(parameters[first + 2 * i] * (in * out)),
                          ToVector(parameters[first + 2 * i + 1] * out)};
    if (i == 0) block.linear = std::move(layer);
    if (i > 0) block.mlp.push_back(std::move(layer));
  }
  return block;
}

Tensor TorchTranslation::Translate(const Block& block, const Tensor& x) const {
  const Tensor u = (x - mean_) * input_scale_;
  Tensor out = MultiplyTransposed(u, block[0].first) + block[0].second, hidden = u;
  for (size_t i = 1; i < block.size(); ++i) {
    hidden = MultiplyTransposed(hidden, block[i].first) + block[i].second;
    if (i + 1 < block.size()) hidden = torch::relu(hidden);
  }
  if (block.size() > 1) out = out + hidden;
  out = out * output_scale_;
  return start_.metric == Metric::kCosine ? out / out.norm(2, {1}, true).clamp_min(1e-30) : out;
}

TorchCodes TorchTranslation::EncodeDocuments(const Tensor& x, int64_t level_cap, Estimator estimator,
                                             double sharpness) const {
  TorchCodes codes = inner_->EncodeDocuments(Translate(document_, x), level_cap, estimator, sharpness);
  if (start_.spec.groups() > 1) return codes;
  codes.scale = codes.scale * static_cast<double>(start_.translation->document_scale);
  codes.offset = codes.offset + static_cast<double>(start_.translation->document_offset);
  return codes;
}

TorchCodes TorchTranslation::EncodeQueries(const Tensor& x, Estimator estimator, double sharpness) const {
  return inner_->EncodeQueries(Translate(query_.empty() ? document_ : query_, x), estimator, sharpness);
}

Tensor TorchTranslation::Scores(const TorchCodes& queries, const TorchCodes& documents) const {
  return inner_->Scores(queries, documents);
}

Model TorchTranslation::ToModel(const std::vector<Tensor>& parameters) const {
  torch::NoGradGuard no_grad;
  Model model = start_;
  model.translation->document = Values(parameters, 0, document_.size());
  if (!query_.empty()) model.translation->query = Values(parameters, 2 * document_.size(), query_.size());
  return model;
}

Model WithTranslationHidden(const Model& start, const std::vector<uint32_t>& hidden,
                            const std::vector<uint32_t>& query_hidden, uint64_t seed) {
  std::mt19937_64 random(seed);
  Model model = start;
  Translation& translation = *model.translation;
  if (translation.query.linear.weight.empty()) translation.query = translation.document;
  translation.hidden = hidden;
  translation.query_hidden = query_hidden;
  AddMlp(translation.document, hidden, translation.input_dims, random);
  AddMlp(translation.query, query_hidden, translation.input_dims, random);
  for (BlockParameters* block : {&translation.document, &translation.query}) {
    if (block->mlp.empty()) continue;
    for (float& value : block->mlp[0].weight) value *= static_cast<float>(InputScale(model));
  }
  return model;
}

}  // namespace bebr
