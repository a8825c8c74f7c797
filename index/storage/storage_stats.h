#ifndef BEBR_INDEX_STORAGE_STORAGE_STATS_H_
#define BEBR_INDEX_STORAGE_STORAGE_STATS_H_

#include <cstdint>

namespace bebr {

// What RocksDB does, over all shards of a process. Counters only grow; gauges say how it is now.
struct StorageStats {
  // Counters since the process started.
  uint64_t wal_bytes = 0;  // written to write-ahead logs
  uint64_t wal_syncs = 0;
  uint64_t flushed_bytes = 0;  // from write buffers to files
  uint64_t compaction_read_bytes = 0;
  uint64_t compaction_written_bytes = 0;
  uint64_t stall_us = 0;    // time that writes were held back because flushes or compactions are behind
  uint64_t cache_hits = 0;  // of the block cache
  uint64_t cache_misses = 0;
  // Gauges.
  uint64_t cache_bytes = 0;
  uint64_t write_buffer_bytes = 0;
  uint64_t file_bytes = 0;                // of table files, without logs
  uint64_t pending_compaction_bytes = 0;  // estimate of what compactions have yet to rewrite
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_STORAGE_STATS_H_
