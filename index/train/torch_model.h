// A model with gradients.
#ifndef BEBR_INDEX_TRAIN_TORCH_MODEL_H_
#define BEBR_INDEX_TRAIN_TORCH_MODEL_H_

#include <torch/torch.h>

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "index/binarizer/model.h"
#include "index/train/options.h"
#include "index/train/trainable.h"

namespace bebr {

// The tensor's values as float32, row-major.
std::vector<float> ToVector(const torch::Tensor& tensor);

// x (rows x k) times w (m x k) transposed, with gradients, through oneDNN: the BLAS that libtorch happens to find may
// be slow.
torch::Tensor MultiplyTransposed(const torch::Tensor& x, const torch::Tensor& w);

// A TorchModel is a Model without groups whose parameters have gradients: the same recursion as Encoder, with a
// surrogate gradient for the sign. Of a fitted quantizer's codes it has the first scale for documents, and for queries
// the values that they round. It learns the band weights, the projections of documents and queries, every level's
// residual block with its feedback matrix (ResidualForm::kCode) or reconstruction (kInput), and the factors of a
// compatible version.
//
// Of TorchCodes `code` has the values of the levels kept, `scale` is |x - mean| |y|_w^2 / <code, y>_w, and `offset` is
// <mean, x>, of l2 -|x - mean|^2: see CodeFactors.
class TorchModel : public Trainable {
 public:
  explicit TorchModel(const Model& start);

  // First the runs' logarithmic weights.
  std::vector<torch::Tensor> parameters() const override { return parameters_; }
  void FreezeWeights() override { log_weights_.set_requires_grad(false); }
  TorchCodes EncodeDocuments(const torch::Tensor& x, int64_t level_cap, Estimator estimator,
                             double sharpness) const override;
  TorchCodes EncodeQueries(const torch::Tensor& x, Estimator estimator, double sharpness) const override;
  torch::Tensor Scores(const TorchCodes& queries, const TorchCodes& documents) const override;
  torch::Tensor BandWeights() const;  // one a dimension
  // What every projection gives for the rows: the first level's, those of later levels before feedback
  // (ResidualForm::kCode), and last the queries' (the first again where they have none of their own).
  std::vector<torch::Tensor> Projections(const torch::Tensor& x) const;
  // |x - mean| and the offset of every row, as the model's factors have it.
  std::pair<torch::Tensor, torch::Tensor> NormsAndOffsets(const torch::Tensor& x) const;

  Model ToModel(const std::vector<torch::Tensor>& parameters) const override;

 private:
  struct Dense {
    torch::Tensor weight, bias;
  };
  struct Block {
    Dense linear;
    std::vector<Dense> mlp;
  };
  struct Step {
    Block residual, reconstruct;
    torch::Tensor feedback;  // kCode only
  };
  struct Centered {
    torch::Tensor u, norm, offset;
  };

  torch::Tensor Parameter(const std::vector<float>& values, std::vector<int64_t> shape);
  Dense MakeDense(const std::vector<float>& weight, const std::vector<float>& bias, int64_t inputs);
  Block MakeBlock(const BlockParameters& block, const std::vector<float>& weight, int64_t inputs);
  static torch::Tensor Apply(const Dense& layer, const torch::Tensor& x);
  static torch::Tensor Apply(const Block& block, const torch::Tensor& x);
  static LayerParameters Values(const Dense& layer);
  static BlockParameters Values(const Block& block);
  Centered Center(const torch::Tensor& x) const;
  // The levels of a document's code, `own_levels` of them in each dimension.
  torch::Tensor Recur(const torch::Tensor& u, const torch::Tensor& y, const torch::Tensor& own_levels,
                      Estimator estimator, double sharpness) const;
  TorchCodes WithFactors(const Centered& rows, const torch::Tensor& y, const torch::Tensor& code) const;

  Model start_;
  std::vector<torch::Tensor> parameters_;
  torch::Tensor mean_, levels_, log_weights_, band_of_;
  Block project_;
  Block query_;
  Dense norm_, offset_;  // where the model has factors: |x - mean|^2 and the offset
  std::vector<Step> steps_;
};

// Gives a start what training can use: a projection of its own for queries, and blocks of the residual form with MLP
// paths of these hidden layers. MLP paths begin at zero and reconstructions as the projection's transpose, so that the
// start's codes are unchanged (but for rounding). Deterministic for the seed.
Model ToTrainable(const Model& start, ResidualForm form, const std::vector<uint32_t>& hidden, uint64_t seed);
// Gives only MLP paths to the projections, to a start of form kCode that has all else.
Model WithHidden(const Model& start, const std::vector<uint32_t>& hidden, const std::vector<uint32_t>& query_hidden,
                 uint64_t seed);

// Gives a block of so many inputs an MLP path of these hidden layers that begins at zero.
void AddMlp(BlockParameters& block, const std::vector<uint32_t>& hidden, size_t inputs, std::mt19937_64& random);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_TORCH_MODEL_H_
