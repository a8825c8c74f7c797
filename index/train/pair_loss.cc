#include "index/train/pair_loss.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "index/train/neighborhoods.h"

namespace bebr {
namespace {

using torch::Tensor;

constexpr int64_t kPairs = 64;
constexpr int64_t kHardNegatives = 5;
constexpr int64_t kQueueLength = 4096;
constexpr double kNever = -1e9;  // the logarithm of a share of nothing

}  // namespace

PairBatch DrawPairs(const QueryPairs& pairs, const Matrix& documents, Metric metric, std::mt19937_64& random) {
  std::vector<int64_t> pair_rows, document_rows;
  for (int64_t i = 0; i < kPairs; ++i) {
    pair_rows.push_back(static_cast<int64_t>(random() % pairs.queries.rows));
    document_rows.push_back(pairs.rows[pair_rows.back()]);
  }
  const Tensor rows = torch::tensor(document_rows);
  return {Rows(pairs.queries, torch::tensor(pair_rows), metric), Rows(documents, rows, metric), rows};
}

Tensor PairLoss::Of(const PairBatch& batch, const Trainable& model, const Trainable& average, Estimator estimator,
                    double sharpness, double temperature) {
  const TorchCodes queries = model.EncodeQueries(batch.queries, estimator, sharpness);
  const TorchCodes codes = model.EncodeDocuments(batch.documents, int64_t{kMaxPlanLevels}, estimator, sharpness);
  const Tensor scores = model.Scores(queries, codes);
  const Tensor positive = scores.diagonal().unsqueeze(1);
  Tensor negatives = scores.masked_fill(batch.rows.unsqueeze(1) == batch.rows.unsqueeze(0), kNever);
  if (queue_.code.defined()) {
    const Tensor queued =
        model.Scores(queries, queue_).masked_fill(batch.rows.unsqueeze(1) == queue_rows_.unsqueeze(0), kNever);
    negatives = torch::cat({negatives, queued}, 1);
  }
  const Tensor hard = std::get<0>(negatives.topk(std::min(kHardNegatives, negatives.size(1)), 1));
  {
    torch::NoGradGuard no_grad;
    const TorchCodes more = average.EncodeDocuments(batch.documents, int64_t{kMaxPlanLevels}, estimator, 1.0);
    const auto join = [](const Tensor& old, const Tensor& added) {
      return old.defined() ? torch::cat({added, old}, 0).slice(0, 0, kQueueLength) : added;
    };
    queue_ = {join(queue_.code, more.code), join(queue_.scale, more.scale), join(queue_.offset, more.offset)};
    queue_rows_ = join(queue_rows_, batch.rows);
  }
  return -torch::log_softmax(torch::cat({positive, hard}, 1) / temperature, 1).select(1, 0).mean();
}

}  // namespace bebr
