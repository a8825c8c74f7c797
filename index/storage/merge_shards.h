// From format 1, in which every shard of a collection had a RocksDB of its own, to one for all of them.
#ifndef BEBR_INDEX_STORAGE_MERGE_SHARDS_H_
#define BEBR_INDEX_STORAGE_MERGE_SHARDS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "index/storage/collection_store.h"

namespace bebr {

// Copies the shards of format 1 in a collection's directory into one store, beside them and synced; they stay as they
// are. To be begun anew after an interruption. Its sequence is the sum of theirs.
//
// Errors. RESOURCE_EXHAUSTED if the disk has not as much space left as the shards take; DATA_LOSS if one is damaged or
// not there. Cost: reads and writes all of the collection once.
absl::Status MergeShardStores(const std::string& directory, uint32_t shards, std::shared_ptr<StoreCache> cache);

// Puts the store that MergeShardStores has made, if there is one, into the shards' place. To be called once it is
// written down that the collection has that format, and whenever it is opened: an interruption is made up for.
absl::Status FinishMergingShardStores(const std::string& directory);

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_MERGE_SHARDS_H_
