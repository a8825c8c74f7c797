#include "tests/support/test_models.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "index/binarizer/model.h"

namespace bebr::testing {

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
  model.project.linear.weight.resize(size_t{spec.dims()} * input_dims);
  model.project.linear.bias.resize(spec.dims());
  const float scale = 1.0f / std::sqrt(static_cast<float>(input_dims));
  for (float& value : model.project.linear.weight) value = scale * normal(random);
  if (query_levels > kMaxLevels) model.quantizer = Quantizer::kFitted;
  model.steps.resize(model.step_count());
  for (StepParameters& step : model.steps) {
    step.gain = 0.9f;
    step.residual.linear.bias.resize(spec.dims());
  }
  const absl::StatusOr<std::string> file = SerializeModel(model);
  if (!file.ok()) {
    std::fprintf(stderr, "test model: %s\n", file.status().ToString().c_str());
    std::abort();
  }
  return *file;
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
