// How RocksDB is set up for a store, and what all stores of a process share of it.
#ifndef BEBR_INDEX_STORAGE_STORE_OPTIONS_H_
#define BEBR_INDEX_STORAGE_STORE_OPTIONS_H_

#include <rocksdb/cache.h>
#include <rocksdb/options.h>
#include <rocksdb/statistics.h>

#include <cstdint>
#include <memory>

#include "index/storage/collection_store.h"
#include "index/storage/rocks.h"

namespace bebr {

// The block cache and the counters of all stores of a process, and the size of each one's write buffers. RocksDB's
// parts take calls from any thread.
class StoreCache {
 public:
  StoreCache(uint64_t capacity_bytes, uint64_t store_write_buffer_bytes)
      : blocks(rocksdb::NewLRUCache(capacity_bytes)),
        counters(rocksdb::CreateDBStatistics()),
        write_buffer_bytes(store_write_buffer_bytes) {
    counters->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  }

  const std::shared_ptr<rocksdb::Cache> blocks;
  const std::shared_ptr<rocksdb::Statistics> counters;
  const uint64_t write_buffer_bytes;
};

rocksdb::ColumnFamilyOptions FamilyOptions(ColumnFamily family, const StoreCache& cache);
// Of a store that is there, or of one to be made where none may be.
rocksdb::DBOptions DatabaseOptions(const StoreCache& cache, bool create);

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_STORE_OPTIONS_H_
