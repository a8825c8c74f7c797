#include "index/train/neighborhoods.h"

#include <algorithm>
#include <cmath>

#include "index/dataset/evaluation.h"
#include "index/train/torch_model.h"

namespace bebr {
namespace {

using torch::Tensor;

constexpr size_t kNeighbors = 100;
constexpr double kNeighborFlops = 4e11;  // spent on exact neighbours before training begins

}  // namespace

torch::Tensor Rows(const Matrix& matrix, const torch::Tensor& index, Metric metric) {
  const Tensor all = torch::from_blob(const_cast<float*>(matrix.values.data()),
                                      {static_cast<int64_t>(matrix.rows), static_cast<int64_t>(matrix.dims)});
  const Tensor rows = all.index_select(0, index);
  switch (metric) {
    case Metric::kCosine:
      return rows / rows.norm(2, {1}, true).clamp_min(1e-30);
    case Metric::kInnerProduct:
    case Metric::kL2:
      break;
  }
  return rows;
}

torch::Tensor Similarities(const Tensor& queries, const Tensor& documents, Metric metric) {
  if (metric != Metric::kL2) return MultiplyTransposed(queries, documents);
  const Tensor origin = documents.mean(0, true);  // far from it the differences would be lost in float
  const Tensor centred = documents - origin;
  return 2.0 * MultiplyTransposed(queries - origin, centred) - centred.square().sum(1).unsqueeze(0);
}

double Temperature(const Matrix& documents, Metric metric, double perplexity, std::mt19937_64& random) {
  torch::NoGradGuard no_grad;
  const int64_t rows = static_cast<int64_t>(documents.rows), seeds = std::min<int64_t>(128, rows),
                sample = std::min<int64_t>(16384, rows);
  std::vector<int64_t> seed_rows(seeds), sample_rows(sample);
  for (int64_t& row : seed_rows) row = static_cast<int64_t>(random() % documents.rows);
  for (int64_t i = 0; i < sample; ++i) sample_rows[i] = i * rows / sample;
  const Tensor similarity = Similarities(Rows(documents, torch::tensor(seed_rows), metric),
                                         Rows(documents, torch::tensor(sample_rows), metric), metric);
  // A sample of one in c stands for c times as many documents.
  const double target = std::max(2.0, std::min(perplexity, 0.5 * static_cast<double>(rows)) *
                                          static_cast<double>(sample) / static_cast<double>(rows));
  const double spread = std::max(similarity.std().item<double>(), 1e-12);
  double low = 1e-4 * spread, high = 1e2 * spread;
  for (int i = 0; i < 40; ++i) {
    const double middle = std::sqrt(low * high);
    const Tensor log_share = torch::log_softmax(similarity / middle, 1);
    const double reached = std::exp(-(log_share.exp() * log_share).sum(1).mean().item<double>());
    (reached > target ? high : low) = middle;
  }
  return std::sqrt(low * high);
}

Neighborhoods FindNeighborhoods(const Matrix& documents, Metric metric, size_t threads, std::mt19937_64& random) {
  Neighborhoods found;
  const double row_flops = 2.0 * static_cast<double>(documents.rows) * static_cast<double>(documents.dims);
  const size_t count =
      std::min(documents.rows, static_cast<size_t>(std::clamp(kNeighborFlops / row_flops, 2048.0, 65536.0)));
  Matrix queries;
  queries.rows = count;
  queries.dims = documents.dims;
  queries.values.resize(count * documents.dims);
  for (size_t i = 0; i < count; ++i) {
    // One random row out of each of `count` equal parts.
    const size_t first = i * documents.rows / count, last = (i + 1) * documents.rows / count;
    const size_t row = first + random() % std::max<size_t>(1, last - first);
    found.seeds.push_back(static_cast<int64_t>(row));
    std::copy_n(documents.row(row), documents.dims, queries.row(i));
  }
  const size_t k = std::min(kNeighbors + 1, documents.rows);
  const std::vector<uint32_t> exact = ExactNeighbors(documents, queries, k, metric, threads);
  found.per_seed = k - 1;
  for (size_t i = 0; i < count; ++i) {
    size_t kept = 0;
    for (size_t j = 0; j < k && kept < found.per_seed; ++j) {
      const uint32_t row = exact[i * k + j];
      if (row != static_cast<uint32_t>(found.seeds[i])) found.neighbors.push_back(row), ++kept;
    }
  }
  return found;
}

TrainingBatch DrawBatch(const Neighborhoods& neighborhoods, size_t document_rows, std::mt19937_64& random) {
  TrainingBatch batch;
  for (int64_t s = 0; s < kBatchSeeds; ++s) {
    const size_t seed = random() % neighborhoods.seeds.size();
    batch.queries.push_back(neighborhoods.seeds[seed]);
    for (int64_t p = 0; p < kBatchPositives && neighborhoods.per_seed > 0; ++p) {
      batch.queries.push_back(
          neighborhoods.neighbors[seed * neighborhoods.per_seed + random() % neighborhoods.per_seed]);
    }
  }
  // Twice the same document would count twice in the softmax.
  const auto unique = [](std::vector<int64_t>& rows) {
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  };
  unique(batch.queries);
  batch.documents = batch.queries;
  for (int64_t i = 0; i < kBatchOthers; ++i) {
    batch.documents.push_back(static_cast<int64_t>(random() % document_rows));
  }
  unique(batch.documents);
  return batch;
}

}  // namespace bebr
