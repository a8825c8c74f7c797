// What is added to the hits of a search once it is known which they are, and the limits of an answer.
#ifndef BEBR_INDEX_SEARCH_ANSWER_H_
#define BEBR_INDEX_SEARCH_ANSWER_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/shard/shard_set.h"
#include "index/types/search.h"

namespace bebr {

// Adds the attributes that the request asks for, as `view` has them, and adds what the hits take in an answer to
// `total`: RESOURCE_EXHAUSTED once that is more than the request may collect, or an error of its take_memory. Cost: of
// attributes, reads from disk.
absl::Status CompleteHits(const SearchRequest& request, const ShardSet& shards, const CollectionStore::View* view,
                          absl::Span<SearchHit> hits, std::atomic<uint64_t>& total);

// The same of the values of `group_by` that a hit of a part has.
absl::Status TakeValues(const SearchRequest& request, absl::Span<const AttributeValue> values,
                        std::atomic<uint64_t>& total);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_ANSWER_H_
