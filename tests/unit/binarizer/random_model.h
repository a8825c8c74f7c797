// Models with random weights for tests: every tensor present, nothing trained.
#ifndef BEBR_TESTS_UNIT_BINARIZER_RANDOM_MODEL_H_
#define BEBR_TESTS_UNIT_BINARIZER_RANDOM_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "index/binarizer/model.h"

namespace bebr {

struct RandomModelOptions {
  uint32_t input_dims = 24;
  std::string shape = "40x1+33x2+8x4";
  uint32_t query_levels = 4;
  std::vector<uint32_t> hidden;
  ResidualForm form = ResidualForm::kCode;
  Metric metric = Metric::kCosine;
  Quantizer quantizer = Quantizer::kRecurrent;
  bool own_residual_weight = true;
  bool feedback = true;
  bool query_projection = false;
  std::vector<uint32_t> query_hidden;  // with query_projection
  uint32_t groups = 1;                 // with more: a fitted quantizer, and none of what groups do not have
  uint32_t reduced_dims = 10;
  uint32_t bases = 0;             // of bytes, that groups share; with levels. 0: each its own, of halves
  bool spans = false;             // that tell these bases
  std::string levels;             // of a fitted quantizer: the rules of format 4, and `shape` does not count
  uint32_t tried_groups = 1;      // with levels and groups
  bool spread = false;            // likewise: errors are shaped
  uint32_t translation_dims = 0;  // of a fitted quantizer: rows of so many values are translated; 0: not
  std::vector<uint32_t> translation_hidden;
  bool translated_queries = false;  // by a block of their own, with translation_hidden
  uint64_t seed = 7;
};

Model RandomModel(const RandomModelOptions& options);
std::vector<float> RandomRows(size_t rows, size_t dims, uint64_t seed);

}  // namespace bebr

#endif  // BEBR_TESTS_UNIT_BINARIZER_RANDOM_MODEL_H_
