// A search, whatever it takes.
#ifndef BEBR_INDEX_REQUEST_QUERY_H_
#define BEBR_INDEX_REQUEST_QUERY_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/search/scheduler.h"
#include "index/types/search.h"

namespace bebr {

// As Engine::Search: finds the view that the search sees and runs it, as one scan, by groups, or fused.
void Query(std::shared_ptr<const Collection> collection, SearchRequest request, Scheduler& scheduler,
           absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_QUERY_H_
