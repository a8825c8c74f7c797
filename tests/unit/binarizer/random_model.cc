#include "tests/unit/binarizer/random_model.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "index/base/float16.h"
#include "index/binarizer/byte_rows.h"
#include "index/binarizer/spans.h"

namespace bebr {
namespace {

class Filler {
 public:
  explicit Filler(uint64_t seed) : random_(seed) {}
  std::vector<float> Values(size_t count, double deviation) {
    std::normal_distribution<double> normal(0.0, deviation);
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(normal(random_));
    return values;
  }
  // That a file holds as they are.
  std::vector<float> Halves(size_t count, double deviation) {
    std::vector<float> values = Values(count, deviation);
    for (float& value : values) value = HalfToFloat(FloatToHalf(value));
    return values;
  }
  BlockParameters Block(size_t inputs, size_t outputs, const std::vector<uint32_t>& hidden) {
    BlockParameters block;
    block.linear = {Values(outputs * inputs, 1.0 / std::sqrt(inputs)), Values(outputs, 0.1)};
    size_t width = inputs;
    for (size_t i = 0; !hidden.empty() && i <= hidden.size(); ++i) {
      const size_t size = i < hidden.size() ? hidden[i] : outputs;
      block.mlp.push_back({Values(size * width, 1.0 / std::sqrt(width)), Values(size, 0.1)});
      width = size;
    }
    return block;
  }

 private:
  std::mt19937_64 random_;
};

Translation RandomTranslation(const RandomModelOptions& options) {
  Filler filler(options.seed + 1);
  const size_t k = options.translation_dims;
  Translation translation;
  translation.input_dims = options.translation_dims;
  translation.hidden = options.translation_hidden;
  if (options.metric == Metric::kInnerProduct) translation.row_length = 3.0f;
  translation.document_scale = 1.1f;
  translation.document_offset = -0.02f;
  translation.mean = filler.Values(k, 0.1);
  translation.document = filler.Block(k, options.input_dims, translation.hidden);
  if (!options.translated_queries) return translation;
  translation.query_hidden = options.translation_hidden;
  translation.query = filler.Block(k, options.input_dims, translation.query_hidden);
  return translation;
}

// Spans with random bytes, of values that lead no run in order.
void TellBySpans(Filler& filler, Model& model, BasisParameters& basis) {
  const LevelPlan plan = model.levels();
  const size_t r = model.reduced_dims;
  const auto bytes = [&](size_t count) {
    std::vector<float> values = filler.Values(count, 60.0);
    for (float& value : values) value = std::clamp(std::floor(value), -128.0f, 127.0f);
    return values;
  };
  if (model.rotation.empty()) model.rotation = bytes(RotationBytes(plan));
  SpanParameters& spans = basis.spans;
  spans.leads.assign(r, -1.0f);
  size_t at = 0;
  for (size_t run = 0; run < plan.runs().size(); ++run) {
    for (uint32_t i = 0; i < plan.runs()[run].dims; ++i) spans.leads[at++ * 7 % r] = static_cast<float>(run);
    spans.scales.push_back(0.01f / static_cast<float>(1 + run));
  }
  spans.bytes = bytes(SpanBytes(plan, r));
  basis.project = FromSpans(plan, r, RunTurns(plan, model.rotation), spans, basis.band_weights);
}

}  // namespace

Model RandomModel(const RandomModelOptions& options) {
  Filler filler(options.seed);
  Model model;
  const LevelPlan plan = *LevelPlan::Parse(options.levels.empty() ? options.shape : options.levels);
  std::vector<float> run_weights;
  for (size_t i = 0; i < plan.runs().size(); ++i) run_weights.push_back(0.5f + static_cast<float>(i));
  model.spec = *CodeSpec::Create(plan.Bands(run_weights), options.groups);
  if (!options.levels.empty()) model.fine = FineRules{.levels = plan, .tried_groups = options.tried_groups};
  model.metric = options.metric;
  model.input_dims = options.input_dims;
  model.query_levels = options.query_levels;
  model.hidden = options.hidden;
  model.residual_form = options.form;
  model.quantizer = options.quantizer;
  model.trained = "random weights for a test";
  const size_t n = options.input_dims, m = model.components();
  model.mean = filler.Values(n, 0.1);
  if (options.translation_dims > 0) model.translation = RandomTranslation(options);
  if (options.groups > 1) {
    model.reduced_dims = options.reduced_dims;
    model.byte_bases = options.bases > 0;
    model.reduce = filler.Halves(options.reduced_dims * n, 1.0 / std::sqrt(n));
    for (uint32_t i = 0; options.spread && i < options.reduced_dims; ++i)
      model.spread.push_back(1.0f / static_cast<float>(1 + i));
    for (uint32_t g = 0; g < options.groups; ++g) {
      GroupParameters& group = model.groups.emplace_back();
      group.mean = filler.Values(n, 0.3);
      group.basis = g % (options.bases == 0 ? options.groups : options.bases);
      if (group.basis < g) continue;
      BasisParameters& basis = model.bases.emplace_back();
      basis.project = filler.Halves(m * options.reduced_dims, 1.0 / std::sqrt(options.reduced_dims));
      if (model.byte_bases) RoundToByteRows(basis.project, options.reduced_dims);
      for (size_t i = 0; i < run_weights.size(); ++i) run_weights[i] = 0.5f + static_cast<float>(g + i);
      for (const Band& band : plan.Bands(run_weights)) basis.band_weights.push_back(band.weight);
      if (options.spans) TellBySpans(filler, model, basis);
    }
    return model;
  }
  model.project = filler.Block(n, m, options.hidden);
  if (options.query_projection) {
    model.query_hidden = options.query_hidden;
    model.query = filler.Block(n, m, options.query_hidden);
  }
  for (uint32_t t = 1; t <= model.step_count(); ++t) {
    StepParameters step;
    step.gain = 0.9f;
    step.residual = filler.Block(n, m, model.step_hidden());
    if (!options.own_residual_weight) step.residual.linear.weight.clear();
    if (options.form == ResidualForm::kInput) step.reconstruct = filler.Block(m, n, model.step_hidden());
    if (options.form == ResidualForm::kCode && options.feedback)
      step.feedback = filler.Values(m * m, 1.0 / std::sqrt(m));
    model.steps.push_back(std::move(step));
  }
  return model;
}

std::vector<float> RandomRows(size_t rows, size_t dims, uint64_t seed) { return Filler(seed).Values(rows * dims, 1.0); }

}  // namespace bebr
