// What is made of a query's candidates after the scan: documents left out, several lists made one, explanations.
#ifndef BEBR_INDEX_SEARCH_RANKING_H_
#define BEBR_INDEX_SEARCH_RANKING_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "index/search/scan.h"
#include "index/types/search.h"

namespace bebr {

// A query with more candidates is heavy to finish.
inline constexpr size_t kHeavyCandidates = 1000;

// The order of hits: score descending, then id ascending.
bool BetterHit(const SearchHit& a, const SearchHit& b);

// The order by which candidates are selected, of hits that have their key: key descending, then id ascending.
bool SelectedBefore(const SearchHit& a, const SearchHit& b);

// How many hits a query is asked for, with those that are passed over.
size_t WantedCount(const SearchRequest& request);

// How many candidates a query's scan must find, so that enough are left.
size_t CandidateCount(const SearchRequest& request);

// Takes the excluded documents out of the candidates, and of the rest the best that the request ranks.
void LeaveOut(const ScanTarget& target, const SearchRequest& request, std::vector<Candidate>& candidates);

// A list of hits, best first, and how much it counts.
struct WeightedHits {
  std::vector<SearchHit> hits;
  float weight = 1;
};
// Several lists as one; see Fusion. A hit keeps what it has in the first list that it is in, but for the score and its
// kind. An empty list has no say in a mean.
std::vector<SearchHit> Fuse(std::vector<WeightedHits> lists, Fusion fusion, size_t offset, size_t k);

// A query as it was encoded for the document's group: planes, weights, offset as of Binarizer::EncodeQueries, factor as
// of ScaleQueries.
struct EncodedQuery {
  uint32_t levels = 0;
  const uint32_t* planes = nullptr;
  const float* weights = nullptr;
  float offset = 0;
  float factor = 1;
};
// How the estimated score of a document came about.
Explanation Explain(const CodeSpec& spec, const EncodedQuery& query, const uint32_t* words, CodeFactors factors);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_RANKING_H_
