// The paper's contrastive loss, of queries whose documents are known.
#ifndef BEBR_INDEX_TRAIN_PAIR_LOSS_H_
#define BEBR_INDEX_TRAIN_PAIR_LOSS_H_

#include <torch/torch.h>

#include <random>

#include "index/dataset/vector_file.h"
#include "index/train/options.h"
#include "index/train/pairs.h"
#include "index/train/trainable.h"
#include "index/types/document.h"

namespace bebr {

// Some pairs, as the loss sees them: of norm 1 for cosine.
struct PairBatch {
  torch::Tensor queries, documents;  // row by row
  torch::Tensor rows;                // of the documents
};
PairBatch DrawPairs(const QueryPairs& pairs, const Matrix& documents, Metric metric, std::mt19937_64& random);

// A PairLoss holds each query's document against its five hardest negatives: of the batch, and of a queue of earlier
// documents as the averaged model codes them. Thread safety: none.
class PairLoss {
 public:
  // Of the batch by `model`; its documents join the queue.
  torch::Tensor Of(const PairBatch& batch, const Trainable& model, const Trainable& average, Estimator estimator,
                   double sharpness, double temperature);

 private:
  TorchCodes queue_;
  torch::Tensor queue_rows_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_PAIR_LOSS_H_
