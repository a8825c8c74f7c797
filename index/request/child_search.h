// Scans on behalf of a search that takes several.
#ifndef BEBR_INDEX_REQUEST_CHILD_SEARCH_H_
#define BEBR_INDEX_REQUEST_CHILD_SEARCH_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "index/collection/kept_views.h"
#include "index/search/search_job.h"

namespace bebr {

// A search for the best `k` of these queries by estimate, of `parent`'s view, version and filter, without what only an
// answer has: attributes, rerank, limits. Lacks `done`. What `parent` borrows it borrows too.
std::unique_ptr<SearchJob> ChildOf(const SearchJob& parent, std::vector<absl::Span<const float>> queries, size_t k);

// Of a job that names a recall in place of the share to probe: the share that it takes, as `view` knows. All documents
// if it knows too little.
void SetProbe(const PinnedView& view, SearchJob& job);

// Adds what a child's scan took to the result of the search; `queries` are the child's.
void AddCosts(const SearchResult& child, size_t queries, SearchResult& total);

// Pins a search to the view that it has, or to the present one, so that all its scans see the same.
void Pin(SearchJob& job);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_CHILD_SEARCH_H_
