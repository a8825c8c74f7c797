// Scores from stored floats, for the best candidates of a scan.
#ifndef BEBR_INDEX_SEARCH_RERANK_H_
#define BEBR_INDEX_SEARCH_RERANK_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/search/scan.h"
#include "index/types/document.h"
#include "index/types/search.h"

namespace bebr {

// The exact value of `metric` between a query and a stored embedding of f16 or f32 values, computed in double precision
// in a fixed order; 0 where the cosine of a zero vector is asked for.
float ExactScore(absl::Span<const float> query, std::string_view stored, FloatStorage storage, Metric metric);

// The information-theoretic score of a code pair: as a binary symmetric channel with crossover p = Hamming distance of
// the level-0 bits / dims, its = 1 - H2(p) for p < 1/2, else 0. Bands of further levels of the same dims do not count.
// `query` has query_levels levels in every band, `document` is a packed code.
float InformationScore(const CodeSpec& spec, uint32_t query_levels, const uint32_t* query, const uint32_t* document);

// A document of a collection.
struct DocumentInShard {
  uint32_t shard = 0;
  std::string_view id;
};

// How exact scores are made: of a query, and the floats that are stored of an embedding.
struct ExactScoring {
  absl::Span<const float> query;
  uint32_t embedding = 0;
  FloatStorage storage = FloatStorage::kNone;
  Metric metric = Metric::kCosine;
  // Asked between reads of some hundred floats; an error ends them. May be null.
  std::function<absl::Status()> interrupted = nullptr;
};

// The exact scores of documents as `view` has them; nullopt where no floats are stored.
absl::StatusOr<std::vector<std::optional<float>>> ExactScores(CollectionStore& store, const CollectionStore::View* view,
                                                              absl::Span<const DocumentInShard> documents,
                                                              const ExactScoring& scoring);

// Candidates with their final scores, in the total order of results.
struct ScoredCandidate {
  Candidate candidate;
  ScoreKind kind = ScoreKind::kEstimated;
};

// The ids of candidates, which are far away in memory: as nothing comes between them, many are on their way at once.
std::vector<std::string_view> IdsOf(const ScanTarget& target, absl::Span<const ScoredCandidate> candidates);

// Scores the first `depth` candidates again with the stored floats. A document without such floats keeps
// its estimated score; all are put in one order by score, then id. `store` is that of the target's collection.
absl::StatusOr<std::vector<ScoredCandidate>> Rerank(const ScanTarget& target, CollectionStore& store,
                                                    const std::vector<Candidate>& candidates, size_t depth,
                                                    const ExactScoring& scoring);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_RERANK_H_
