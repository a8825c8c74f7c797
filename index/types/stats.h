// What the engine counts.
#ifndef BEBR_INDEX_TYPES_STATS_H_
#define BEBR_INDEX_TYPES_STATS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace bebr {

// Durations by size, as a histogram of Prometheus has them.
struct DurationCounts {
  static constexpr std::array<double, 15> kBoundsSeconds = {0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                            0.1,     0.25,   0.5,   1,      2.5,   5,    10};
  // As long as the bound of the same place at most, and longer than the one before; the last place: longer than all.
  std::array<uint64_t, kBoundsSeconds.size() + 1> counts{};
  double sum_seconds = 0;
};

// What RocksDB does, over all collections of a process. Counters only grow; gauges say how it is now.
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

// What has happened since the engine was opened; every number only grows, except the gauges.
struct EngineStats {
  uint64_t queries = 0;
  uint64_t scans = 0;
  uint64_t documents_scanned = 0;  // documents x queries
  uint64_t bytes_scanned = 0;
  uint64_t documents_upserted = 0;
  uint64_t documents_deleted = 0;
  uint64_t documents_reencoded = 0;  // by backfills
  uint64_t refused_queries = 0;
  uint64_t refused_upserts = 0;  // the queue was full
  uint64_t refused_memory = 0;   // writes beyond memory_limit_bytes
  uint64_t refused_disk = 0;     // writes with less than min_free_disk_bytes left
  uint64_t failed_commits = 0;   // writes that storage did not take, by group
  uint64_t recall_measured = 0;  // by the recall monitor, and attempts that failed
  uint64_t recall_failed = 0;
  uint64_t scrubbed_bytes = 0;  // of codes, attributes and files that scrubbing has compared
  uint64_t scrub_mended = 0;    // documents that memory had otherwise than the disk, put right
  uint64_t encode_us = 0;       // of documents: processor time by stage of ingestion
  uint64_t commit_us = 0;       // building, writing and syncing batches
  uint64_t apply_us = 0;        // scan layout
  uint64_t scan_us = 0;
  DurationCounts write_waits;        // of writes, from their call to their commit, their encoding among it
  DurationCounts commits;            // of groups of writes to storage, failed ones too
  DurationCounts syncs;              // of the log, within those
  uint64_t queued_queries = 0;       // gauge
  uint64_t queued_upsert_bytes = 0;  // gauge
  uint64_t disk_free_bytes = 0;      // gauge, of the file system of data_dir
  uint64_t disk_total_bytes = 0;
  uint64_t failing_collections = 0;  // gauge: that take no writes, for a fault of the disk
  uint64_t kept_views = 0;           // gauge
  uint64_t kept_view_bytes = 0;      // gauge: memory of what only they see
  StorageStats storage;
  std::string simd;  // name of the kernel table in use
  size_t threads = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_STATS_H_
