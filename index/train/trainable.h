// A model as training sees it, whatever it is made of.
#ifndef BEBR_INDEX_TRAIN_TRAINABLE_H_
#define BEBR_INDEX_TRAIN_TRAINABLE_H_

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "index/binarizer/model.h"
#include "index/train/options.h"

namespace bebr {

// Codes with what turns them into scores: what they hold is known to the model that made them, but every tensor has a
// row for each document.
struct TorchCodes {
  torch::Tensor code;    // rows x dims
  torch::Tensor scale;   // rows
  torch::Tensor offset;  // rows
};

// A Trainable is a Model whose parameters have gradients. Of a fitted quantizer's queries it has the values that they
// round. Thread safety: none. Errors: libtorch throws c10::Error.
class Trainable {
 public:
  virtual ~Trainable() = default;

  // Every value that training changes.
  virtual std::vector<torch::Tensor> parameters() const = 0;
  // Leaves the bands' weights as they are: another version has them, too.
  virtual void FreezeWeights() {}
  // x: rows of embeddings, already of norm 1 for cosine. Documents keep the levels that they store, but at most
  // `level_cap`. `sharpness` >= 1 belongs to Estimator::kReste.
  virtual TorchCodes EncodeDocuments(const torch::Tensor& x, int64_t level_cap, Estimator estimator,
                                     double sharpness) const = 0;
  virtual TorchCodes EncodeQueries(const torch::Tensor& x, Estimator estimator, double sharpness) const = 0;
  // Estimated similarity of every query with every document; of l2 less what is the same for all documents.
  virtual torch::Tensor Scores(const TorchCodes& queries, const TorchCodes& documents) const = 0;
  // The model with these values for the parameters, in the order of parameters().
  virtual Model ToModel(const std::vector<torch::Tensor>& parameters) const = 0;
};

// A TorchModel, a TorchGroups where the model has groups, or a TorchTranslation before groups.
std::unique_ptr<Trainable> MakeTrainable(const Model& start);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_TRAINABLE_H_
