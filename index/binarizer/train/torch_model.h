#ifndef BEBR_INDEX_BINARIZER_TRAIN_TORCH_MODEL_H_
#define BEBR_INDEX_BINARIZER_TRAIN_TORCH_MODEL_H_

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "index/binarizer/model.h"
#include "index/binarizer/train/options.h"

namespace bebr {

// x (rows x k) times w (m x k) transposed, with gradients, through oneDNN: the BLAS that libtorch happens to find may
// be slow.
torch::Tensor MultiplyTransposed(const torch::Tensor& x, const torch::Tensor& w);

// Codes with what turns them into scores: see CodeFactors.
struct TorchCodes {
  torch::Tensor code;    // rows x dims, values of the levels kept
  torch::Tensor scale;   // rows: |x - mean| |y|_w^2 / <code, y>_w
  torch::Tensor offset;  // rows: <mean, x>
};

// A TorchModel is a Model whose parameters have gradients: the same recursion as Encoder, with a surrogate gradient for
// the sign. Linear models learn projection, thresholds, feedback matrices and band weights; models with hidden layers
// (ResidualForm::kInput) every block, BatchNorm included, which ToModel folds into the weights.
//
// Thread safety: none. Errors: libtorch throws c10::Error.
class TorchModel {
 public:
  explicit TorchModel(const Model& start);

  // Every value that training changes, the bands' logarithmic weights first, and those that it only tracks (BatchNorm's
  // running statistics).
  std::vector<torch::Tensor> parameters() const { return parameters_; }
  std::vector<torch::Tensor> buffers() const { return buffers_; }

  // x: rows of embeddings, already of norm 1 for cosine. `query`: all query levels in every band; else the spec's, but
  // at most `level_cap`. `sharpness` >= 1 belongs to Estimator::kReste.
  TorchCodes Encode(const torch::Tensor& x, bool query, int64_t level_cap, Estimator estimator, double sharpness,
                    bool training) const;
  // Estimated similarity of every query with every document.
  torch::Tensor Scores(const TorchCodes& queries, const TorchCodes& documents) const;
  torch::Tensor BandWeights() const;  // one a dimension

  // The model with these values for the parameters and buffers (in the order of parameters() and buffers()).
  Model ToModel(const std::vector<torch::Tensor>& parameters, const std::vector<torch::Tensor>& buffers) const;

 private:
  struct Dense {
    torch::Tensor weight, bias;
  };
  struct Norm {
    torch::Tensor gamma, beta, mean, variance;
  };
  struct Block {
    Dense linear;
    std::vector<Dense> mlp;
    std::vector<Norm> norms;
  };
  struct Step {
    Block residual, reconstruct;
    torch::Tensor bias, feedback;  // linear models
  };

  torch::Tensor Parameter(const std::vector<float>& values, std::vector<int64_t> shape);
  torch::Tensor Buffer(torch::Tensor value);
  Block MakeBlock(const BlockParameters& block, const std::vector<float>& weight, int64_t inputs, int64_t outputs);
  torch::Tensor Apply(const Block& block, const torch::Tensor& x, bool training) const;
  static BlockParameters Fold(const Block& block);

  Model start_;
  std::vector<torch::Tensor> parameters_, buffers_;
  torch::Tensor mean_, levels_, log_weights_, band_of_;
  Block project_;
  std::vector<Step> steps_;
};

// Gives a linear start the paper's blocks: transposed reconstructions and MLP paths whose output layer is zero, so that
// the codes are unchanged. Deterministic for the seed.
Model WithHiddenLayers(const Model& start, const std::vector<uint32_t>& hidden, uint64_t seed);

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_TRAIN_TORCH_MODEL_H_
