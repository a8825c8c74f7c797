// The binarizer of a model that writes into the space of an older one, whatever that is.
#ifndef BEBR_INDEX_BINARIZER_TRANSLATED_ENCODER_H_
#define BEBR_INDEX_BINARIZER_TRANSLATED_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "index/binarizer/binarizer.h"
#include "index/binarizer/model.h"
#include "index/binarizer/model_binarizer.h"
#include "index/binarizer/residual_block.h"

namespace bebr {

// A TranslatedEncoder maps embeddings to those of the model that the space was made for, and has these coded by that
// model's own binarizer (FORMAT.md, "Translations").
//
// Determinism, thread safety: see Binarizer. Cost in multiply-adds beside that binarizer's, with k dims mapped to n: a
// row k * n, plus h * (k + n) for a hidden layer of h.
class TranslatedEncoder : public ModelBinarizer {
 public:
  static absl::StatusOr<std::unique_ptr<const TranslatedEncoder>> Create(Model model, uint32_t checksum);

  size_t memory_bytes() const override;

  void EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes, CodeFactors* factors) const override;
  void EncodeQueries(const float* embeddings, size_t rows, uint32_t* planes, float* weights,
                     float* offsets) const override;
  void EncodeQueriesOf(absl::Span<const GroupSet> wanted, const float* embeddings, uint32_t* planes, float* weights,
                       float* offsets) const override;
  void RankGroups(const float* embeddings, size_t rows, float* nearness) const override;
  // What becomes of rows of documents, or of queries, before they are coded: rows x the inner binarizer's input_dims().
  void Translate(const float* embeddings, size_t rows, bool queries, float* out) const;
  const Binarizer& inner() const { return *inner_; }

 private:
  using ModelBinarizer::ModelBinarizer;
  template <typename Encode>
  void InBatches(const float* embeddings, size_t rows, bool queries, const Encode& encode) const;

  ResidualBlock document_;
  ResidualBlock query_;  // empty: the documents'
  double document_scale_ = 1.0;
  double document_offset_ = 0.0;
  std::unique_ptr<const Binarizer> inner_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_TRANSLATED_ENCODER_H_
