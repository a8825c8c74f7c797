// Searches whose lists become one.
#ifndef BEBR_INDEX_REQUEST_FUSED_SEARCH_H_
#define BEBR_INDEX_REQUEST_FUSED_SEARCH_H_

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/collection/kept_views.h"
#include "index/search/scheduler.h"
#include "index/types/search.h"

namespace bebr {

// INVALID_ARGUMENT, naming the field, unless the request's versions, lists and weights are what its fusion takes.
absl::Status CheckFusion(const SearchRequest& request);

// Sorts what the searches of a fusion warn of, and leaves each once.
void KeepOnce(std::vector<std::string>& warnings);

// Runs a search with fusion, which CheckFusion has checked, and answers it: a search for the queries of each version,
// all of the view; of the lists from elsewhere, the documents that are there and satisfy the filter. Cost beside the
// searches: of lists, a look at the id table for each id, and the filter.
void SearchFused(SearchRequest request, const PinnedView& pinned, Scheduler& scheduler,
                 absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_FUSED_SEARCH_H_
