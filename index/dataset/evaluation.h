// What a search result is measured against: exact float neighbours (index/exact), relevance judgements, and the usual
// figures.
#ifndef BEBR_INDEX_DATASET_EVALUATION_H_
#define BEBR_INDEX_DATASET_EVALUATION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "index/exact/neighbors.h"  // its users compare with these

namespace bebr {

// Relevance judgements: query id -> document id -> gain.
using Qrels = absl::flat_hash_map<std::string, absl::flat_hash_map<std::string, double>>;
// Reads BEIR's form: query-id, corpus-id, score separated by tabs; a header line is skipped.
absl::StatusOr<Qrels> ReadQrels(const std::string& path);
// nDCG at `k` with gains as they are (BEIR, trec_eval): DCG = sum of gain / log2(rank + 1).
double Ndcg(const absl::flat_hash_map<std::string, double>& judgements, const std::vector<std::string_view>& ranked,
            size_t k);

// A file of a data set as BEIR publishes it, where `path` is its folder; else `path`.
inline constexpr char kBeirCorpus[] = "corpus.jsonl", kBeirQueries[] = "queries.jsonl", kBeirQrels[] = "qrels/test.tsv";
std::string InBeirFolder(const std::string& path, const char* file);

// One id a line, or the first column of a tab-separated file: then every line has a tab; of .jsonl the text under "_id"
// or "id" of each line. INVALID_ARGUMENT names the line of an id that is empty, too long or not UTF-8.
absl::StatusOr<std::vector<std::string>> ReadIds(const std::string& path);

}  // namespace bebr

#endif  // BEBR_INDEX_DATASET_EVALUATION_H_
