// One answer made of those of several engines, each of which holds some of the documents.
#ifndef BEBR_INDEX_CLUSTER_MERGE_H_
#define BEBR_INDEX_CLUSTER_MERGE_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "index/engine.h"

namespace bebr {

// All of them take what every engine answered, in one order, to a request with `part`, and give what one engine with
// all documents would have answered to the request without.

// Selects by the key and orders by the score. FAILED_PRECONDITION if the parts reranked differently, as they do while a
// collection's default changes. `request.strict` is heeded, as below.
absl::StatusOr<SearchResult> MergeSearch(const SearchRequest& request, std::vector<SearchResult> parts);
// The same without hits, which MergedGroups merges where there is group_by.
absl::StatusOr<SearchResult> MergeFacts(const SearchRequest& request, const std::vector<SearchResult>& parts);
// What a node warns of beside the filter, and whether it is behind.
void AddNodeWarnings(const SearchResult& part, SearchResult& all);
// The order in which candidates are chosen by their first levels, as ScanTarget::Better has it.
bool ChosenBefore(const SearchHit& a, const SearchHit& b);
// A page ends where the first of the parts ends that has more.
absl::StatusOr<Page> MergePages(const PageRequest& request, std::vector<Page> parts);
absl::StatusOr<CountResult> MergeCounts(const CountRequest& request, const std::vector<CountResult>& parts);
// RESOURCE_EXHAUSTED for more than kMaxFacetValues different values.
absl::StatusOr<FacetResult> MergeFacets(const FacetRequest& request, std::vector<FacetResult> parts);
// Of one collection; `problem` says where the parts contradict each other.
CollectionInfo MergeInfos(std::vector<CollectionInfo> parts);
// The longest of each stage; and one after the other.
void MergeTimings(const SearchTimings& part, SearchTimings& all);
void AddTimings(const SearchTimings& next, SearchTimings& all);
EngineStats MergeStats(const std::vector<EngineStats>& parts);

// The facts of all parts (Filter::Facts).
void AddFacts(const FilterFacts& part, FilterFacts& all);

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_MERGE_H_
