// Small binarizers for tests: real model files, made in a moment.
#ifndef BEBR_TESTS_SUPPORT_TEST_MODELS_H_
#define BEBR_TESTS_SUPPORT_TEST_MODELS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "index/code/code_spec.h"
#include "index/types/document.h"

namespace bebr::testing {

// The bytes of a model file: a random projection of `input_dims` floats to the dims of `spec`, the same for the same
// seed; with groups, one for each, and queries of more than 4 levels.
std::string RandomModelFile(uint32_t input_dims, const CodeSpec& spec, uint32_t query_levels, uint64_t seed,
                            Metric metric = Metric::kCosine);

// `model_file` after a random linear map of embeddings of `input_dims` floats to its own, the same for the same seed.
std::string TranslatedModelFile(const std::string& model_file, uint32_t input_dims, uint64_t seed);

// The same codes in so many groups.
CodeSpec WithGroups(const CodeSpec& spec, uint32_t groups);

// `count` vectors of `dims` normally distributed floats.
std::vector<std::vector<float>> RandomVectors(size_t count, size_t dims, uint64_t seed);

}  // namespace bebr::testing

#endif  // BEBR_TESTS_SUPPORT_TEST_MODELS_H_
