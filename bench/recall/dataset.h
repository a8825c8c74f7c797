// What the recall benchmark measures on.
#ifndef BEBR_BENCH_RECALL_DATASET_H_
#define BEBR_BENCH_RECALL_DATASET_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/baselines/estimates.h"
#include "index/dataset/evaluation.h"
#include "index/dataset/vector_file.h"

namespace bebr::bench {

// Data that is made up: normally distributed in all directions alike, or around 100 centres, with less variance in each
// direction than in the one before.
enum class Generated { kNot, kGaussian, kClusters };

// Where a set comes from: files, or what is made up.
struct DatasetFiles {
  std::string name, docs, queries;
  std::string held_out;               // other queries; may be empty
  bool rest_held_out = false;         // those are the queries beyond the limit
  std::string qrels, ids, query_ids;  // all three or none
  Generated generated = Generated::kNot;
  size_t rows = 0, dims = 0;  // of what is made up
};

// One set of documents and queries with what is right for them.
struct Dataset {
  std::string name;
  Metric metric = Metric::kCosine;
  Matrix documents, queries;
  Matrix fitted;                // what models are fitted to: the documents, or others
  Matrix held_out;              // shown to the trainer for validation; none: it holds out documents
  std::vector<uint32_t> exact;  // queries x 10
  std::vector<std::string> ids, query_ids;
  Qrels qrels;

  // {recall_at_10, recall_at_50, recall_at_100, recall_at_10_reranked, ndcg_at_10 (null without judgements)}
  nlohmann::json Measure(const Found& found) const;
};

// Takes at most `limit` queries. `unseen`: models are fitted to every other document, and those between are indexed.
// INVALID_ARGUMENT where the files do not belong together.
absl::StatusOr<Dataset> LoadDataset(const DatasetFiles& files, size_t limit, Metric metric, bool unseen);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_RECALL_DATASET_H_
