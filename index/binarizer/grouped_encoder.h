// The binarizer of a model whose documents fall into groups.
#ifndef BEBR_INDEX_BINARIZER_GROUPED_ENCODER_H_
#define BEBR_INDEX_BINARIZER_GROUPED_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "index/binarizer/encoder.h"
#include "index/binarizer/error_shaper.h"
#include "index/binarizer/model.h"
#include "index/binarizer/model_binarizer.h"
#include "index/binarizer/residual_block.h"

namespace bebr {

// A GroupedEncoder codes a document by the group whose mean is nearest, or by the best of a few of the nearest,
// relative to that mean and along the directions of the group's basis, and a query for every group (FORMAT.md,
// "Groups"). A basis is an Encoder of reduced values less their group's mean.
//
// Determinism, thread safety: see Binarizer. Cost in multiply-adds, with r reduced dims, G groups and T that are tried:
// a document r * (input_dims + G + T * dims), a query r * input_dims + G * (r * dims + input_dims).
class GroupedEncoder : public ModelBinarizer {
 public:
  static absl::StatusOr<std::unique_ptr<const GroupedEncoder>> Create(Model model, uint32_t checksum);

  size_t memory_bytes() const override;

  void EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes, CodeFactors* factors) const override;
  void EncodeQueries(const float* embeddings, size_t rows, uint32_t* planes, float* weights,
                     float* offsets) const override;
  void EncodeQueriesOf(absl::Span<const GroupSet> wanted, const float* embeddings, uint32_t* planes, float* weights,
                       float* offsets) const override;
  void RankGroups(const float* embeddings, size_t rows, float* nearness) const override;

 private:
  struct Group {
    std::vector<float> mean, reduced_mean;
    double query_offset = 0.0;  // QueryOffset of the mean
    size_t basis = 0;

    // A reduced row less the group's mean.
    void Centre(const float* row, size_t dims, float* out) const {
      for (size_t i = 0; i < dims; ++i) out[i] = row[i] - reduced_mean[i];
    }
  };

  using ModelBinarizer::ModelBinarizer;
  void AddGroups(const Model& model);
  // The reduced values of rows.
  std::vector<float> Reduce(const float* embeddings, size_t rows) const;
  // For each group the rows of reduced values that it is tried for, in their order.
  std::vector<std::vector<size_t>> RowsToTry(const std::vector<float>& reduced, size_t rows) const;
  // Codes some of the rows by group g, with shaped errors if `shaped`: code_words() words, factors and an error each.
  struct GroupCodes {
    std::vector<uint32_t> codes;
    std::vector<CodeFactors> factors;
    std::vector<double> errors;
  };
  void EncodeByGroup(uint32_t g, const std::vector<float>& reduced, const std::vector<size_t>& members, bool shaped,
                     GroupCodes& out) const;

  DenseLayer reduce_;
  DenseLayer nearness_;  // of reduced values to each group's mean: <r, mean> - |mean|^2 / 2
  size_t tried_ = 1;     // of the nearest groups, for a document
  std::vector<Group> groups_;
  std::vector<std::unique_ptr<const Encoder>> bases_;
  std::vector<ErrorShaper> shapers_;  // of each basis; none: errors are not shaped
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_GROUPED_ENCODER_H_
