#include "bench/recall/dataset.h"

#include <cmath>
#include <random>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/exact/neighbors.h"

namespace bebr::bench {
namespace {

Matrix Generate(Generated kind, size_t rows, size_t dims, uint64_t seed) {
  constexpr size_t kCenters = 100;
  constexpr float kWithin = 0.6f;
  std::mt19937_64 random(seed), of_centers(4711);  // the same centres for documents and queries
  std::normal_distribution<float> normal;
  Matrix matrix{rows, dims, std::vector<float>(rows * dims)};
  if (kind == Generated::kGaussian) {
    for (float& value : matrix.values) value = normal(random);
    return matrix;
  }
  std::vector<float> centers(kCenters * dims);
  for (float& value : centers) value = normal(of_centers);
  for (size_t r = 0; r < rows; ++r) {
    const float* center = centers.data() + random() % kCenters * dims;
    for (size_t i = 0; i < dims; ++i)
      matrix.row(r)[i] = (center[i] + kWithin * normal(random)) / std::sqrt(1.0f + static_cast<float>(i));
  }
  return matrix;
}

absl::Status ReadFiles(const DatasetFiles& files, size_t limit, Dataset& data) {
  if (files.generated != Generated::kNot) {
    data.documents = Generate(files.generated, files.rows, files.dims, 1);
    data.queries = Generate(files.generated, limit, files.dims, 2);
    return absl::OkStatus();
  }
  BEBR_ASSIGN_OR_RETURN(data.documents, ReadVectors(files.docs));
  BEBR_ASSIGN_OR_RETURN(data.queries, ReadVectors(files.queries, limit));
  return absl::OkStatus();
}

// Rows first, first + 2, ...
Matrix EveryOther(const Matrix& rows, size_t first) {
  Matrix half;
  half.dims = rows.dims;
  for (size_t row = first; row < rows.rows; row += 2, ++half.rows)
    half.values.insert(half.values.end(), rows.row(row), rows.row(row) + rows.dims);
  return half;
}

absl::Status ReadJudgements(const DatasetFiles& files, Dataset& data) {
  BEBR_ASSIGN_OR_RETURN(data.qrels, ReadQrels(files.qrels));
  BEBR_ASSIGN_OR_RETURN(data.ids, ReadIds(files.ids));
  BEBR_ASSIGN_OR_RETURN(data.query_ids, ReadIds(files.query_ids));
  if (data.ids.size() == data.documents.rows && data.query_ids.size() >= data.queries.rows) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(data.ids.size(), " ids for ", data.documents.rows, " documents, ",
                                                 data.query_ids.size(), " for ", data.queries.rows, " queries"));
}

double MeanNdcg(const Dataset& data, const Found& found) {
  double sum = 0.0;
  size_t judged = 0;
  for (size_t q = 0; q < data.queries.rows; ++q) {
    const auto judgements = data.qrels.find(data.query_ids[q]);
    if (judgements == data.qrels.end()) continue;
    std::vector<std::string_view> ranked;
    for (size_t i = 0; i < 10; ++i) ranked.push_back(data.ids[found[q * kFound + i]]);
    sum += Ndcg(judgements->second, ranked, 10);
    ++judged;
  }
  return judged > 0 ? sum / static_cast<double>(judged) : 0.0;
}

}  // namespace

absl::StatusOr<Dataset> LoadDataset(const DatasetFiles& files, size_t limit, Metric metric, bool unseen) {
  Dataset data;
  data.name = files.name;
  data.metric = metric;
  BEBR_RETURN_IF_ERROR(ReadFiles(files, limit, data));
  if (data.documents.rows < 2 * kFound || data.queries.dims != data.documents.dims) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the documents are ", data.documents.rows, " x ", data.documents.dims, ", the queries ", data.queries.rows,
        " x ", data.queries.dims, "; dims must agree and at least ", 2 * kFound, " documents are needed"));
  }
  if (!files.held_out.empty()) {
    BEBR_ASSIGN_OR_RETURN(data.held_out, ReadVectors(files.held_out));
  }
  if (files.rest_held_out) {
    BEBR_ASSIGN_OR_RETURN(Matrix all, ReadVectors(files.queries));
    if (all.rows == data.queries.rows)
      return absl::InvalidArgumentError(
          absl::StrCat("all ", all.rows, " queries are measured: none are left to hold out"));
    all.values.erase(all.values.begin(), all.values.begin() + static_cast<ptrdiff_t>(data.queries.values.size()));
    all.rows -= data.queries.rows;
    data.held_out = std::move(all);
  }
  if (!files.qrels.empty()) BEBR_RETURN_IF_ERROR(ReadJudgements(files, data));
  data.fitted = unseen ? EveryOther(data.documents, 0) : data.documents;
  if (unseen) data.documents = EveryOther(data.documents, 1);
  data.exact = ExactNeighbors(data.documents, data.queries, 10, metric, AvailableProcessors());
  return data;
}

nlohmann::json Dataset::Measure(const Found& found) const {
  double recall[3] = {};
  const size_t depths[3] = {10, 50, kFound};
  for (size_t q = 0; q < queries.rows; ++q) {
    for (size_t i = 0; i < 3; ++i)
      recall[i] += Recall(exact.data() + q * 10, 10, found.data() + q * kFound, kFound, depths[i]);
  }
  for (double& value : recall) value /= static_cast<double>(queries.rows);
  // Reranking 100 by the floats finds exactly those of the true ten that are among the 100.
  nlohmann::json json = {{"recall_at_10", recall[0]},
                         {"recall_at_50", recall[1]},
                         {"recall_at_100", recall[2]},
                         {"recall_at_10_reranked", recall[2]},
                         {"ndcg_at_10", nullptr}};
  if (!qrels.empty()) json["ndcg_at_10"] = MeanNdcg(*this, found);
  return json;
}

}  // namespace bebr::bench
