#include "index/storage/store_options.h"

#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/table_properties.h>

namespace bebr {
namespace {

// Has RocksDB compact, in the background, each file that says of a whole range of keys that it is dropped, until what
// it drops is gone. So disk space is given back where nobody waits for that, and after a kill once a table file says
// so: the database keeps which files are to be compacted.
class DroppedRanges final : public rocksdb::TablePropertiesCollector {
 public:
  class Factory final : public rocksdb::TablePropertiesCollectorFactory {
   public:
    rocksdb::TablePropertiesCollector* CreateTablePropertiesCollector(Context /*context*/) override {
      return new DroppedRanges();
    }
    const char* Name() const override { return "DroppedRanges"; }
  };

  rocksdb::Status AddUserKey(const rocksdb::Slice& /*key*/, const rocksdb::Slice& /*value*/, rocksdb::EntryType type,
                             rocksdb::SequenceNumber /*sequence*/, uint64_t /*file_bytes*/) override {
    any_ = any_ || type == rocksdb::kEntryRangeDeletion;
    return rocksdb::Status::OK();
  }
  bool NeedCompact() const override { return any_; }
  rocksdb::Status Finish(rocksdb::UserCollectedProperties* /*properties*/) override { return rocksdb::Status::OK(); }
  rocksdb::UserCollectedProperties GetReadableProperties() const override { return {}; }
  const char* Name() const override { return "DroppedRanges"; }

 private:
  bool any_ = false;
};

}  // namespace

std::shared_ptr<StoreCache> MakeStoreCache(uint64_t capacity_bytes, uint64_t write_buffer_bytes) {
  return std::make_shared<StoreCache>(capacity_bytes, write_buffer_bytes);
}

void SetCacheCapacity(StoreCache& cache, uint64_t capacity_bytes) { cache.blocks->SetCapacity(capacity_bytes); }

StorageStats SharedStats(const StoreCache& cache) {
  const auto count = [&](uint32_t ticker) { return cache.counters->getTickerCount(ticker); };
  StorageStats stats;
  stats.wal_bytes = count(rocksdb::WAL_FILE_BYTES);
  stats.wal_syncs = count(rocksdb::WAL_FILE_SYNCED);
  stats.flushed_bytes = count(rocksdb::FLUSH_WRITE_BYTES);
  stats.compaction_read_bytes = count(rocksdb::COMPACT_READ_BYTES);
  stats.compaction_written_bytes = count(rocksdb::COMPACT_WRITE_BYTES);
  stats.stall_us = count(rocksdb::STALL_MICROS);
  stats.cache_hits = count(rocksdb::BLOCK_CACHE_HIT);
  stats.cache_misses = count(rocksdb::BLOCK_CACHE_MISS);
  stats.cache_bytes = cache.blocks->GetUsage();
  return stats;
}

rocksdb::ColumnFamilyOptions FamilyOptions(ColumnFamily family, const StoreCache& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache.blocks;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  // Floats are read one document at a time, here and there: a block is copied, checked and put into the cache for each.
  table.block_size = family == kFloats ? 4 << 10 : 8 << 10;
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  // Codes and floats are close to random bits: compressing them costs time and saves nothing.
  options.compression = family == kDocuments ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  constexpr uint64_t kBufferParts = 7;  // one each for meta, documents and codes, the rest for floats
  options.write_buffer_size = cache.write_buffer_bytes / kBufferParts * (family == kFloats ? 4 : 1);
  // Each entry has its checksum from the moment it comes in: one that memory changed is refused when it is to be
  // written to a file, and read again from the log at the next start.
  options.memtable_protection_bytes_per_key = 8;
  options.level_compaction_dynamic_level_bytes = true;
  if (family == kCodes || family == kFloats) {
    options.table_properties_collector_factories.push_back(std::make_shared<DroppedRanges::Factory>());
  }
  // A batch has its keys in order, shard by shard: the place of each is looked for from that of the last one of its
  // shard.
  if (family != kMeta) {
    const size_t prefix = sizeof(uint16_t) + (family == kDocuments ? 0 : sizeof(uint32_t));
    options.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(prefix));
  }
  return options;
}

rocksdb::DBOptions DatabaseOptions(const StoreCache& cache, bool create) {
  rocksdb::DBOptions options;
  options.create_if_missing = create;
  options.error_if_exists = create;
  options.create_missing_column_families = create;
  options.max_background_jobs = 2;
  // A commit is written to the log while the one before it is put into memory (CollectionStore::CommitInSteps).
  options.enable_pipelined_write = true;
  options.statistics = cache.counters;
  options.max_open_files = 512;
  options.max_file_opening_threads = 1;  // of each family: for the 16 files at most that are opened with the database
  // Opening replays the log into memory and writes nothing, so a start costs reading; the bound keeps the log short.
  options.max_total_wal_size = 64 << 20;
  options.allow_fallocate = false;  // would take 64 MiB of disk for the log of the smallest collection
  options.avoid_flush_during_recovery = true;
  // Recover tries, about once a second. RocksDB trying by itself lets a Flush wait for as long as the disk fails, and
  // a database that is closed meanwhile may hang for ever (rocksdb issue 11440).
  options.max_bgerror_resume_count = 0;
  options.avoid_flush_during_shutdown = true;
  // CheckStoreFiles has cut off what a crash has torn. Whatever is damaged now is corruption.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  return options;
}

}  // namespace bebr
