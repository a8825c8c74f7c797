// Recall of a version's codes: its code search against the exact neighbours by its stored floats.
#ifndef BEBR_INDEX_UPGRADE_RECALL_H_
#define BEBR_INDEX_UPGRADE_RECALL_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "index/collection/collection.h"
#include "index/types/collection.h"
#include "index/types/search.h"

namespace bebr {

// Runs a search and waits for it.
using SearchNow = std::function<absl::StatusOr<SearchResult>(SearchRequest)>;

// How much of the machine the reading of floats may take, and until when. `spend` is told of documents that were read;
// it may wait, and its error ends the reading. Called from several threads.
struct ReadingPace {
  size_t threads = 1;
  std::function<absl::Status(size_t documents)> spend;  // null: never waits
  absl::Duration deadline = absl::InfiniteDuration();   // on the clock of SteadyNow(); of the searches, too
  std::shared_ptr<std::atomic<bool>> cancelled;         // may be null
};

// Queries as embeddings of one version; the ids of the documents they are, if they are documents.
struct Queries {
  std::vector<std::vector<float>> rows;
  std::vector<std::string> ids;
};

using Answers = std::vector<std::vector<std::string>>;  // ids by query, best first

// Up to `count` documents as queries of each of `versions`: those with the smallest hashes of their ids among the
// documents that have floats of all of them, so the same ones every time. Of the pace only its end counts.
absl::StatusOr<std::vector<Queries>> SampleQueries(const Collection& collection,
                                                   absl::Span<const Version* const> versions, size_t count,
                                                   const ReadingPace& pace = {});

// What a version answers, and what it should.
struct ComparedAnswers {
  Answers found;  // by its codes
  Answers exact;  // by its stored floats, among the documents that have them

  double recall() const;
};

// How far estimated scores are from exact ones.
struct ScoreError {
  double mean = 0;
  double p99 = 0;
};
// Over the answers by stored floats: |estimated - exact score| of each, mean and 99th percentile. Searches for these
// documents alone, by their codes and with rerank.
absl::StatusOr<ScoreError> MeasureScoreError(const CollectionManifest& manifest, const Version& version,
                                             const Queries& queries, const Answers& exact, const SearchNow& search,
                                             const ReadingPace& pace);

// The `k` best of each query. Queries that are documents do not count themselves among their neighbours. Reads all
// floats of the version, on threads that yield to others.
absl::StatusOr<ComparedAnswers> CompareWithExact(const Collection& collection, const Version& version,
                                                 const Queries& queries, size_t k, const SearchNow& search,
                                                 const ReadingPace& pace);

// The mean share of the ids of `wanted` that are in `found`.
double MeanShare(const Answers& wanted, const Answers& found);

// FAILED_PRECONDITION: the version has no floats to compare with.
absl::Status NoFloats(const Version& version);

// Recall of a version on sampled documents. FAILED_PRECONDITION where there are no floats.
absl::StatusOr<RecallSample> MeasureRecall(const Collection& collection, const Version& version, size_t queries,
                                           size_t k, const SearchNow& search, const ReadingPace& pace);

}  // namespace bebr

#endif  // BEBR_INDEX_UPGRADE_RECALL_H_
