// What a search result is measured against: exact float neighbours, relevance judgements, and the usual figures.
#ifndef BEBR_INDEX_DATASET_EVALUATION_H_
#define BEBR_INDEX_DATASET_EVALUATION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "index/dataset/vector_file.h"
#include "index/types/document.h"

namespace bebr {

// The exact k best rows of `docs` for every row of `queries` by `metric`, best first, ties by row number: queries.rows
// * k row numbers. Computed in blocks, about 1 MiB a thread beside the input; k is cut to docs.rows. Cost: 2 * queries
// * docs * dims operations.
std::vector<uint32_t> ExactNeighbors(const Matrix& docs, const Matrix& queries, size_t k, Metric metric,
                                     size_t threads);

// Share of `exact` (k_exact row numbers) that is among the first `depth` of `found`.
double Recall(const uint32_t* exact, size_t k_exact, const uint32_t* found, size_t found_count, size_t depth);

// Relevance judgements: query id -> document id -> gain.
using Qrels = absl::flat_hash_map<std::string, absl::flat_hash_map<std::string, double>>;
// Reads BEIR's form: query-id, corpus-id, score separated by tabs; a header line is skipped.
absl::StatusOr<Qrels> ReadQrels(const std::string& path);
// nDCG at `k` with gains as they are (BEIR, trec_eval): DCG = sum of gain / log2(rank + 1).
double Ndcg(const absl::flat_hash_map<std::string, double>& judgements, const std::vector<std::string_view>& ranked,
            size_t k);

// One id a line, or the first column of a tab-separated file: then every line has a tab. INVALID_ARGUMENT names the
// line of an id that is empty, too long or not UTF-8.
absl::StatusOr<std::vector<std::string>> ReadIds(const std::string& path);

}  // namespace bebr

#endif  // BEBR_INDEX_DATASET_EVALUATION_H_
