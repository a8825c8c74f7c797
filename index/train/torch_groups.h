// A model with groups, with gradients.
#ifndef BEBR_INDEX_TRAIN_TORCH_GROUPS_H_
#define BEBR_INDEX_TRAIN_TORCH_GROUPS_H_

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "index/binarizer/model.h"
#include "index/train/trainable.h"

namespace bebr {

// A TorchGroups is a model with groups (FORMAT.md) whose group means, projections and weights have gradients. A
// document's group and the scale of its levels are chosen as the encoder does, without a gradient; the levels have the
// straight-through one.
//
// A score is linear in the query, whose rounding is left out: what a code says of its document is a vector and a
// constant, score(q, d) = <q, vector> + constant, less what is the same for all documents. So of TorchCodes `code` is
// that vector, or the query itself, `offset` the constant, and `scale` is 1.
class TorchGroups : public Trainable {
 public:
  explicit TorchGroups(const Model& start);

  std::vector<torch::Tensor> parameters() const override { return {log_weights_, means_, projections_}; }
  void FreezeWeights() override { log_weights_.set_requires_grad(false); }
  TorchCodes EncodeDocuments(const torch::Tensor& x, int64_t level_cap, Estimator estimator,
                             double sharpness) const override;
  TorchCodes EncodeQueries(const torch::Tensor& x, Estimator estimator, double sharpness) const override;
  torch::Tensor Scores(const TorchCodes& queries, const TorchCodes& documents) const override;
  Model ToModel(const std::vector<torch::Tensor>& parameters) const override;

 private:
  // How a document is coded: in which group, and by which of the scales.
  struct Choice {
    torch::Tensor group, times;
  };
  // Rows of one group: what their codes say.
  struct Part {
    torch::Tensor vectors;   // rows x reduced dims, of the score's product with the reduced query
    torch::Tensor left_out;  // rows: what the code leaves out of the squared length
    torch::Tensor times;     // rows: the scale of the levels
  };
  Part Code(const torch::Tensor& reduced, int64_t group, const torch::Tensor& times) const;
  Choice Choose(const torch::Tensor& reduced) const;
  torch::Tensor Weights(int64_t group) const;  // one a component

  Model start_;
  double document_scale_ = 1.0, document_offset_ = 0.0;  // of a translation before the groups
  bool tempered_ = false;
  int64_t tried_ = 1;
  torch::Tensor mean_, reduce_;
  torch::Tensor run_of_, halves_;   // by component: its run, and 2^(levels - 1)
  std::vector<uint32_t> basis_of_;  // by group
  torch::Tensor log_weights_;       // bases x runs
  torch::Tensor means_;             // groups x n
  torch::Tensor projections_;       // bases x components x reduced dims
};

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_TORCH_GROUPS_H_
