// The binarizer of a model whose documents fall into groups.
#ifndef BEBR_INDEX_BINARIZER_GROUPED_ENCODER_H_
#define BEBR_INDEX_BINARIZER_GROUPED_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/binarizer/binarizer.h"
#include "index/binarizer/encoder.h"
#include "index/binarizer/model.h"
#include "index/binarizer/query_length.h"
#include "index/binarizer/residual_block.h"

namespace bebr {

// A GroupedEncoder codes a document by the group whose mean is nearest, relative to that mean and along that group's
// own directions, and a query for every group (FORMAT.md, "Groups"). A group's part is an Encoder of reduced values.
//
// Determinism, thread safety: see Binarizer. Cost in multiply-adds, with r reduced dims and G groups: a document
// r * (input_dims + G + dims), a query r * input_dims + G * (r * dims + input_dims).
class GroupedEncoder : public Binarizer {
 public:
  static absl::StatusOr<std::unique_ptr<const GroupedEncoder>> Create(const Model& model, uint32_t checksum);

  const CodeSpec& spec() const override { return spec_; }
  uint32_t input_dims() const override { return input_dims_; }
  uint32_t query_levels() const override { return query_levels_; }
  Metric metric() const override { return metric_; }
  uint32_t checksum() const override { return checksum_; }
  std::string description() const override { return description_; }
  size_t memory_bytes() const override;

  void EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes, CodeFactors* factors) const override;
  void ScaleQueries(float* embeddings, size_t rows, float* factors) const override {
    query_length_.Scale(embeddings, rows, factors);
  }
  void EncodeQueries(const float* embeddings, size_t rows, uint32_t* planes, float* weights,
                     float* offsets) const override;

 private:
  struct Group {
    std::vector<float> mean;
    double mean_squared = 0.0;  // |mean|^2
    std::unique_ptr<const Encoder> encoder;
  };

  GroupedEncoder() = default;
  absl::Status AddGroups(const Model& model);
  // What a row is multiplied with: 1 / |x| for cosine, else 1.
  double Unit(const float* x) const;
  // The reduced values of rows.
  std::vector<float> Reduce(const float* embeddings, size_t rows) const;
  // The group of each row of reduced values.
  std::vector<uint32_t> Nearest(const std::vector<float>& reduced, size_t rows) const;

  CodeSpec spec_;
  uint32_t input_dims_ = 0;
  uint32_t query_levels_ = 0;
  Metric metric_ = Metric::kCosine;
  uint32_t checksum_ = 0;
  std::string description_;
  std::vector<float> mean_;
  QueryLength query_length_;
  DenseLayer reduce_;
  DenseLayer nearness_;  // of reduced values to each group's mean: <r, mean> - |mean|^2 / 2
  std::vector<Group> groups_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_GROUPED_ENCODER_H_
