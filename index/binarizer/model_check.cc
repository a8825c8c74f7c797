// What a model must satisfy, wherever it comes from.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/status_macros.h"
#include "index/binarizer/finite.h"
#include "index/binarizer/model.h"
#include "index/binarizer/model_parts.h"
#include "index/binarizer/spans.h"

namespace bebr {
namespace {

constexpr float kMaxRowLength = 1e18f;
constexpr float kLargestHalf = 65504.0f;  // tensors that are written as halves hold no more

absl::Status Invalid(const std::string& what) { return absl::InvalidArgumentError("model file: " + what); }

absl::Status CheckTensor(const std::vector<float>& values, size_t size, const std::string& name,
                         float most = std::numeric_limits<float>::max()) {
  if (values.size() != size) {
    return Invalid(absl::StrCat("tensor '", name, "' has ", values.size(), " values; expected ", size));
  }
  const size_t at = FirstBeyond(values.data(), size, most);
  if (at == size) return absl::OkStatus();
  return Invalid(absl::StrCat("tensor '", name, "' holds ", values[at], "; the limit is ", most));
}

absl::Status CheckBlock(const BlockParameters& block, size_t inputs, size_t outputs,
                        const std::vector<uint32_t>& hidden, bool weight_optional, const std::string& name) {
  if (!weight_optional || !block.linear.weight.empty()) {
    BEBR_RETURN_IF_ERROR(CheckTensor(block.linear.weight, outputs * inputs, name + ".weight"));
  }
  BEBR_RETURN_IF_ERROR(CheckTensor(block.linear.bias, outputs, name + ".bias"));
  if (block.mlp.size() != (hidden.empty() ? 0 : hidden.size() + 1)) {
    return Invalid(
        absl::StrCat("block '", name, "' has ", block.mlp.size(), " MLP layers for ", hidden.size(), " hidden sizes"));
  }
  size_t width = inputs;
  for (size_t i = 0; i < block.mlp.size(); ++i) {
    const size_t layer_outputs = i < hidden.size() ? hidden[i] : outputs;
    const std::string layer_name = i < hidden.size() ? absl::StrCat(name, ".hidden", i) : name + ".output";
    BEBR_RETURN_IF_ERROR(CheckTensor(block.mlp[i].weight, layer_outputs * width, layer_name + ".weight"));
    BEBR_RETURN_IF_ERROR(CheckTensor(block.mlp[i].bias, layer_outputs, layer_name + ".bias"));
    width = layer_outputs;
  }
  return absl::OkStatus();
}

// The bands against the levels, with the weights of a basis where there is one.
absl::Status CheckLevels(const Model& model, const BasisParameters* basis, const std::string& weights) {
  if (!model.fine.has_value()) return absl::OkStatus();
  std::vector<Band> bands = model.spec.bands();
  for (size_t b = 0; basis != nullptr && b < bands.size(); ++b) bands[b].weight = basis->band_weights[b];
  if (model.fine->levels.Describes(bands)) return absl::OkStatus();
  return Invalid(absl::StrCat("metadata 'levels' is '", model.fine->levels.ToString(), "', which has other bands than ",
                              model.spec.ToString(), ", or tensor '", weights,
                              "' gives a band of further levels another weight than a sixteenth"));
}

absl::Status CheckBasesOfGroups(const Model& model) {
  if (model.byte_bases && !model.fine.has_value()) return Invalid("bases of bytes need metadata 'levels'");
  if (model.bases.empty() || model.bases.size() > model.groups.size() ||
      (!model.byte_bases && model.bases.size() < model.groups.size())) {
    return Invalid(absl::StrCat("it has ", model.bases.size(), " bases for ", model.groups.size(), " groups"));
  }
  for (uint32_t g = 0; g < model.groups.size(); ++g) {
    const uint32_t basis = model.groups[g].basis;
    if (basis >= model.bases.size() || (!model.byte_bases && basis != g))
      return Invalid(absl::StrCat("group ", g, " has basis ", basis, " of ", model.bases.size()));
  }
  return absl::OkStatus();
}

absl::Status CheckSpread(const Model& model) {
  BEBR_RETURN_IF_ERROR(CheckTensor(model.spread, model.reduced_dims, "spread"));
  for (const float value : model.spread) {
    if (value <= 0.0f) return Invalid(absl::StrCat("tensor 'spread' holds ", value, "; its values are above 0"));
  }
  if (!model.fine.has_value()) return Invalid("tensor 'spread' needs metadata 'levels'");
  const uint64_t c = model.components(), values = c * c * model.bases.size();
  if (c <= kMostShapedComponents && values <= kMostShapedValues) return absl::OkStatus();
  return Invalid(absl::StrCat("tensor 'spread' is of ", c, " components of ", model.bases.size(),
                              " bases; it may be of ", kMostShapedComponents, ", and with their squares ",
                              kMostShapedValues, " values"));
}

absl::Status CheckSpansOf(const Model& model, const SpanParameters& spans) {
  const LevelPlan plan = model.levels();
  const size_t r = model.reduced_dims, runs = plan.runs().size();
  BEBR_RETURN_IF_ERROR(CheckTensor(spans.leads, r, "groups.leads"));
  BEBR_RETURN_IF_ERROR(CheckTensor(spans.scales, runs, "groups.spans.scale"));
  BEBR_RETURN_IF_ERROR(CheckTensor(spans.bytes, SpanBytes(plan, r), "groups.spans"));
  for (const float scale : spans.scales) {
    if (scale > 0.0f && scale <= kLargestSpanScale) continue;
    return Invalid(absl::StrCat("tensor 'groups.spans.scale' holds ", scale, "; its values are above 0 and at most ",
                                kLargestSpanScale));
  }
  size_t leading = 0;
  for (size_t run = 0; run < runs; ++run) {
    const uint32_t dims = plan.runs()[run].dims;
    const auto count = std::count(spans.leads.begin(), spans.leads.end(), static_cast<float>(run));
    leading += count;
    if (count == dims) continue;
    return Invalid(
        absl::StrCat("tensor 'groups.leads' holds ", run, " ", count, " times; the run has ", dims, " dims"));
  }
  if (leading + std::count(spans.leads.begin(), spans.leads.end(), -1.0f) == r) return absl::OkStatus();
  return Invalid(absl::StrCat("tensor 'groups.leads' holds more than the numbers of ", runs, " runs and -1"));
}

// Of a model with groups, what is not checked for all models.
absl::Status CheckGroups(const Model& model) {
  const size_t n = model.input_dims, m = model.components(), r = model.reduced_dims, bands = model.spec.bands().size();
  if (model.quantizer != Quantizer::kFitted || model.architecture != "residual_mlp") {
    return Invalid("groups need architecture residual_mlp and quantizer fitted");
  }
  if (!model.hidden.empty() || !model.project.linear.weight.empty() || model.has_query_projection() ||
      model.factors.has_value()) {
    return Invalid("with groups there are no hidden layers, and no tensors 'project', 'query' or 'factors'");
  }
  if (r == 0 || r > n) return Invalid(absl::StrCat("reduced_dims is ", r, "; it must be in 1..", n));
  if (model.groups.size() != model.spec.groups()) {
    return Invalid(absl::StrCat("it has ", model.groups.size(), " groups; expected ", model.spec.groups()));
  }
  BEBR_RETURN_IF_ERROR(CheckBasesOfGroups(model));
  BEBR_RETURN_IF_ERROR(CheckTensor(model.reduce, r * n, "reduce", kLargestHalf));
  if (!model.spread.empty()) BEBR_RETURN_IF_ERROR(CheckSpread(model));
  if (!model.rotation.empty()) BEBR_RETURN_IF_ERROR(CheckSpans(model));
  for (const GroupParameters& group : model.groups) BEBR_RETURN_IF_ERROR(CheckTensor(group.mean, n, "groups.mean"));
  for (const BasisParameters& basis : model.bases) {
    BEBR_RETURN_IF_ERROR(CheckTensor(basis.band_weights, bands, "groups.band_weights"));
    for (const float weight : basis.band_weights) {
      if (weight <= 0.0f) return Invalid(absl::StrCat("tensor 'groups.band_weights' holds ", weight));
    }
    const float most = model.byte_bases ? std::numeric_limits<float>::max() : kLargestHalf;
    BEBR_RETURN_IF_ERROR(CheckTensor(basis.project, m * r, "groups.project", most));
    BEBR_RETURN_IF_ERROR(CheckLevels(model, &basis, "groups.band_weights"));
  }
  return absl::OkStatus();
}

// What says which tensors there are.
absl::Status CheckHead(const Model& model) {
  const size_t n = model.input_dims;
  if (model.architecture != "residual_mlp" && model.architecture != "median") {
    return Invalid(
        absl::StrCat("architecture '", model.architecture, "' is unknown; it must be residual_mlp or median"));
  }
  if (n == 0 || n > kMaxInputDims) return Invalid(absl::StrCat("input_dims is ", n, "; the limit is ", kMaxInputDims));
  if (model.spec.bands().empty()) return Invalid("it has no bands");
  if (model.query_levels < model.spec.max_levels() || model.query_levels > model.max_query_levels()) {
    return Invalid(absl::StrCat("query_levels is ", model.query_levels, "; it must be in ", model.spec.max_levels(),
                                "..", model.max_query_levels()));
  }
  if (model.quantizer == Quantizer::kFitted && model.residual_form != ResidualForm::kCode) {
    return Invalid("a fitted quantizer needs residual_form code");
  }
  if (model.fine.has_value() && model.quantizer != Quantizer::kFitted) {
    return Invalid("metadata 'levels' needs a fitted quantizer");
  }
  if (model.spec.trellis() && !model.fine.has_value()) {
    return Invalid("trellis-coded bands need a fitted quantizer and metadata 'levels'");
  }
  BEBR_RETURN_IF_ERROR(CheckLevels(model, nullptr, "band_weights"));
  if (model.fine.has_value() && (model.fine->tried_groups == 0 || model.fine->tried_groups > model.spec.groups())) {
    return Invalid(
        absl::StrCat("tried_groups is ", model.fine->tried_groups, "; it must be in 1..", model.spec.groups()));
  }
  if (model.steps.size() != model.step_count()) {
    return Invalid(absl::StrCat("it has ", model.steps.size(), " steps; expected ", model.step_count()));
  }
  if (!(model.row_length >= 0.0f && model.row_length <= kMaxRowLength)) {
    return Invalid(absl::StrCat("row_length is ", model.row_length, "; it must be in 0..", kMaxRowLength));
  }
  return absl::OkStatus();
}

absl::Status CheckTranslation(const Model& model) {
  const Translation& translation = *model.translation;
  const size_t k = translation.input_dims, n = model.input_dims;
  if (model.quantizer != Quantizer::kFitted) return Invalid("a translation needs quantizer fitted");
  if (model.factors.has_value()) return Invalid("with a translation there are no tensors 'factors'");
  if (k == 0 || k > kMaxInputDims)
    return Invalid(absl::StrCat("translation_dims is ", k, "; the limit is ", kMaxInputDims));
  if (!(translation.row_length >= 0.0f && translation.row_length <= kMaxRowLength)) {
    return Invalid(
        absl::StrCat("translation_row_length is ", translation.row_length, "; it must be in 0..", kMaxRowLength));
  }
  BEBR_RETURN_IF_ERROR(
      CheckTensor({translation.document_scale, translation.document_offset}, 2, "translation.constants"));
  if (translation.document_scale <= 0.0f)
    return Invalid(absl::StrCat("tensor 'translation.constants' holds a scale of ", translation.document_scale));
  BEBR_RETURN_IF_ERROR(CheckTensor(translation.mean, k, "translation.mean"));
  BEBR_RETURN_IF_ERROR(CheckBlock(translation.document, k, n, translation.hidden, false, "translation.document"));
  if (!translation.query.linear.weight.empty())
    return CheckBlock(translation.query, k, n, translation.query_hidden, false, "translation.query");
  if (translation.query_hidden.empty()) return absl::OkStatus();
  return Invalid("metadata 'translation_query_hidden' needs the tensor 'translation.query.weight'");
}

absl::Status CheckFactors(const FactorParameters& factors, size_t n) {
  BEBR_RETURN_IF_ERROR(CheckTensor(factors.offset, n, "factors.offset.weight"));
  BEBR_RETURN_IF_ERROR(CheckTensor(factors.squared_norm, n, "factors.squared_norm.weight"));
  return CheckTensor({factors.offset_bias, factors.squared_norm_bias, factors.query_offset, factors.query_scale}, 4,
                     "factors.constants");
}

}  // namespace

absl::Status CheckSpanSizes(const Model& model) {
  const LevelPlan plan = model.levels();
  if (SpansAreSmall(plan, model.reduced_dims, model.bases.size())) return absl::OkStatus();
  return Invalid(absl::StrCat(plan.dims(), " components of ", model.reduced_dims, " reduced dims in ",
                              model.bases.size(), " bases are more than spans may have"));
}

absl::Status CheckSpans(const Model& model) {
  if (!model.byte_bases) return Invalid("tensor 'rotation' needs bases of bytes");
  BEBR_RETURN_IF_ERROR(CheckSpanSizes(model));
  BEBR_RETURN_IF_ERROR(CheckTensor(model.rotation, RotationBytes(model.levels()), "rotation"));
  for (const BasisParameters& basis : model.bases) BEBR_RETURN_IF_ERROR(CheckSpansOf(model, basis.spans));
  return absl::OkStatus();
}

absl::Status ValidateModel(const Model& model) {
  BEBR_RETURN_IF_ERROR(CheckHead(model));
  const size_t n = model.input_dims, m = model.components();
  BEBR_RETURN_IF_ERROR(CheckTensor(model.mean, n, "mean"));
  if (model.translation.has_value()) BEBR_RETURN_IF_ERROR(CheckTranslation(model));
  if (model.spec.groups() > 1) return CheckGroups(model);
  if (!model.groups.empty() || !model.bases.empty()) return Invalid("it has groups; its spec has none");
  BEBR_RETURN_IF_ERROR(CheckBlock(model.project, n, m, model.hidden, false, "project"));
  if (model.has_query_projection()) {
    BEBR_RETURN_IF_ERROR(CheckBlock(model.query, n, m, model.query_hidden, false, "query"));
  } else if (!model.query_hidden.empty()) {
    return Invalid("metadata 'query_hidden' needs the tensor 'query.weight'");
  }
  if (model.factors.has_value()) BEBR_RETURN_IF_ERROR(CheckFactors(*model.factors, n));
  for (size_t t = 0; t < model.steps.size(); ++t) {
    const StepParameters& step = model.steps[t];
    const std::string name = absl::StrCat("step", t + 1);
    BEBR_RETURN_IF_ERROR(CheckTensor({step.gain}, 1, name + ".gain"));
    BEBR_RETURN_IF_ERROR(CheckBlock(step.residual, n, m, model.step_hidden(), true, name + ".residual"));
    if (model.residual_form == ResidualForm::kInput) {
      BEBR_RETURN_IF_ERROR(CheckBlock(step.reconstruct, m, n, model.hidden, false, name + ".reconstruct"));
    } else if (!step.feedback.empty()) {
      BEBR_RETURN_IF_ERROR(CheckTensor(step.feedback, m * m, name + ".feedback"));
    }
  }
  return absl::OkStatus();
}

}  // namespace bebr
