// What every binarizer knows of its model.
#ifndef BEBR_INDEX_BINARIZER_MODEL_BINARIZER_H_
#define BEBR_INDEX_BINARIZER_MODEL_BINARIZER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "index/binarizer/binarizer.h"
#include "index/binarizer/model.h"
#include "index/binarizer/query_length.h"

namespace bebr {

// The part of a Binarizer that does not depend on how codes are made: the facts of its model, and the length of
// queries.
class ModelBinarizer : public Binarizer {
 public:
  const CodeSpec& spec() const override { return spec_; }
  uint32_t input_dims() const override { return input_dims_; }
  uint32_t query_levels() const override { return query_levels_; }
  Metric metric() const override { return metric_; }
  uint32_t checksum() const override { return checksum_; }
  uint32_t groups_checksum() const override { return groups_checksum_; }
  std::string description() const override { return description_; }
  void ScaleQueries(float* embeddings, size_t rows, float* factors) const override {
    query_length_.Scale(embeddings, rows, factors);
  }

 protected:
  ModelBinarizer(const Model& model, uint32_t checksum);
  // Of what is here, without the object itself.
  size_t facts_bytes() const { return mean_.size() * sizeof(float) + query_length_.memory_bytes(); }

  const CodeSpec spec_;
  const uint32_t input_dims_;
  const uint32_t query_levels_;
  const Metric metric_;
  const uint32_t checksum_;
  const uint32_t groups_checksum_;
  const std::string description_;
  const std::vector<float> mean_;
  const QueryLength query_length_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_MODEL_BINARIZER_H_
