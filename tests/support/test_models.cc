#include "tests/support/test_models.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "index/binarizer/model.h"

namespace bebr::testing {
namespace {

// Groups around random means, each with a random projection of two thirds of the dims.
void AddGroups(std::mt19937_64& random, Model& model) {
  std::normal_distribution<float> normal;
  const size_t n = model.input_dims;
  model.quantizer = Quantizer::kFitted;
  model.reduced_dims = std::max(1u, model.input_dims * 2 / 3);
  const auto values = [&](size_t count, float deviation) {
    std::vector<float> made(count);
    for (float& value : made) value = deviation * normal(random);
    return made;
  };
  const float unit = 1.0f / std::sqrt(static_cast<float>(n));
  model.reduce = values(size_t{model.reduced_dims} * n, unit);
  model.groups.resize(model.spec.groups());
  for (GroupParameters& group : model.groups) {
    group.mean = values(n, model.metric == Metric::kCosine ? 0.5f * unit : 0.5f);
    group.basis = static_cast<uint32_t>(model.bases.size());
    BasisParameters& basis = model.bases.emplace_back();
    basis.project = values(size_t{model.spec.dims()} * model.reduced_dims, unit);
    for (size_t b = 0; b < model.spec.bands().size(); ++b)
      basis.band_weights.push_back(0.5f + std::fabs(normal(random)));
  }
}

std::string FileOf(const Model& model) {
  const absl::StatusOr<std::string> file = SerializeModel(model);
  if (file.ok()) return *file;
  std::fprintf(stderr, "test model: %s\n", file.status().ToString().c_str());
  std::abort();
}

}  // namespace

std::string TranslatedModelFile(const std::string& model_file, uint32_t input_dims, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Model model = *ParseModel(model_file);
  const float unit = 1.0f / std::sqrt(static_cast<float>(input_dims));
  Translation& translation = model.translation.emplace();
  translation.input_dims = input_dims;
  if (model.metric == Metric::kInnerProduct) translation.row_length = 1.0f / unit;
  translation.mean.resize(input_dims);
  for (float& value : translation.mean) value = 0.1f * unit * normal(random);
  translation.document.linear.bias.resize(model.input_dims);
  translation.document.linear.weight.resize(size_t{model.input_dims} * input_dims);
  for (float& value : translation.document.linear.weight) value = unit * normal(random);
  return FileOf(model);
}

CodeSpec WithGroups(const CodeSpec& spec, uint32_t groups) { return *CodeSpec::Create(spec.bands(), groups); }

std::string RandomModelFile(uint32_t input_dims, const CodeSpec& spec, uint32_t query_levels, uint64_t seed,
                            Metric metric) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Model model;
  model.metric = metric;
  model.input_dims = input_dims;
  model.spec = spec;
  model.query_levels = query_levels;
  model.trained = "random projection for tests";
  if (metric == Metric::kInnerProduct) model.row_length = std::sqrt(static_cast<float>(input_dims));
  model.mean.resize(input_dims);
  for (float& value : model.mean) value = 0.1f * normal(random);
  if (spec.groups() > 1) {
    AddGroups(random, model);
  } else {
    model.project.linear.weight.resize(size_t{spec.dims()} * input_dims);
    model.project.linear.bias.resize(spec.dims());
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(input_dims));
  for (float& value : model.project.linear.weight) value = scale * normal(random);
  if (query_levels > kMaxLevels) model.quantizer = Quantizer::kFitted;
  if (spec.trellis()) model.fine = FineRules{.levels = spec};
  model.steps.resize(model.step_count());
  for (StepParameters& step : model.steps) {
    step.gain = 0.9f;
    step.residual.linear.bias.resize(spec.dims());
  }
  return FileOf(model);
}

std::vector<std::vector<float>> RandomVectors(size_t count, size_t dims, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> vectors(count, std::vector<float>(dims));
  for (auto& vector : vectors) {
    for (float& value : vector) value = normal(random);
  }
  return vectors;
}

}  // namespace bebr::testing
