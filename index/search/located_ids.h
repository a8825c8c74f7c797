// The documents that a filter names by their ids.
#ifndef BEBR_INDEX_SEARCH_LOCATED_IDS_H_
#define BEBR_INDEX_SEARCH_LOCATED_IDS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "index/search/filter.h"
#include "index/shard/shard_set.h"

namespace bebr {

// Where a view of the shards has the documents that a filter's =, != and IN of ids name; of several filters, which may
// share tests, each test once. Costs a look at the id table for each literal (Shard::Locate), whatever the collection
// has; nothing without such tests.
Filter::LocatedIds LocateIds(absl::Span<const Filter* const> filters, const ShardSet& shards,
                             const CollectionView& view);

// Of such a test, the rows of the segment.
absl::Span<const uint16_t> RowsWithIds(const Filter::Node& test, const Filter::Ids& ids);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_LOCATED_IDS_H_
