// A translation into the space of an older version, with gradients.
#ifndef BEBR_INDEX_TRAIN_TORCH_TRANSLATION_H_
#define BEBR_INDEX_TRAIN_TORCH_TRANSLATION_H_

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "index/binarizer/model.h"
#include "index/train/trainable.h"

namespace bebr {

// A TorchTranslation learns the maps of documents and queries (Translation) of a model; what codes the mapped rows, and
// the translation's constants, stay as they are, but pass gradients on. Inputs and outputs of the
// maps are scaled to variance 1 while they are learned.
class TorchTranslation : public Trainable {
 public:
  explicit TorchTranslation(const Model& start);

  std::vector<torch::Tensor> parameters() const override { return parameters_; }
  TorchCodes EncodeDocuments(const torch::Tensor& x, int64_t level_cap, Estimator estimator,
                             double sharpness) const override;
  TorchCodes EncodeQueries(const torch::Tensor& x, Estimator estimator, double sharpness) const override;
  torch::Tensor Scores(const TorchCodes& queries, const TorchCodes& documents) const override;
  Model ToModel(const std::vector<torch::Tensor>& parameters) const override;

  // The rows that documents are mapped to.
  torch::Tensor TranslateDocuments(const torch::Tensor& x) const { return Translate(document_, x); }

 private:
  // Layers of a block: the linear one, then those of the MLP path.
  using Block = std::vector<std::pair<torch::Tensor, torch::Tensor>>;
  Block MakeBlock(const BlockParameters& block);
  BlockParameters Values(const std::vector<torch::Tensor>& parameters, size_t first, size_t layers) const;
  torch::Tensor Translate(const Block& block, const torch::Tensor& x) const;

  Model start_;
  double input_scale_ = 1.0, output_scale_ = 1.0;
  torch::Tensor mean_;
  std::vector<torch::Tensor> parameters_;
  Block document_, query_;
  std::unique_ptr<Trainable> inner_;
};

// Gives both maps of a translation MLP paths of these hidden layers, which begin at zero. Deterministic for the seed.
Model WithTranslationHidden(const Model& start, const std::vector<uint32_t>& hidden,
                            const std::vector<uint32_t>& query_hidden, uint64_t seed);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_TORCH_TRANSLATION_H_
