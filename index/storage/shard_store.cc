#include "index/storage/shard_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <atomic>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"

namespace bebr {

class StoreCache {
 public:
  StoreCache(uint64_t capacity_bytes, uint64_t shard_write_buffer_bytes)
      : blocks(rocksdb::NewLRUCache(capacity_bytes)),
        counters(rocksdb::CreateDBStatistics()),
        write_buffer_bytes(shard_write_buffer_bytes) {
    counters->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  }
  const std::shared_ptr<rocksdb::Cache> blocks;
  const std::shared_ptr<rocksdb::Statistics> counters;
  const uint64_t write_buffer_bytes;
};

std::shared_ptr<StoreCache> MakeStoreCache(uint64_t capacity_bytes, uint64_t write_buffer_bytes) {
  return std::make_shared<StoreCache>(capacity_bytes, write_buffer_bytes);
}

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

namespace {

enum ColumnFamily : uint32_t { kMeta = 0, kDocuments = 1, kCodes = 2, kFloats = 3 };
constexpr std::array<const char*, 4> kColumnFamilyNames = {"default", "documents", "codes", "floats"};
constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kSequenceKey = "sequence";

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

absl::Status FromRocksDb(const rocksdb::Status& status, const std::string& path) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = absl::StrFormat("storage at %s: %s", path, status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(message);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(message + "; free disk space and restart the server");
  if (status.IsNotFound()) return absl::NotFoundError(message);
  return absl::UnavailableError(message);
}

// The write batch names a column family by its number alone, so a batch can be filled before and outside the store.
class FamilyId final : public rocksdb::ColumnFamilyHandle {
 public:
  explicit FamilyId(uint32_t id) : id_(id) {}
  const std::string& GetName() const override { return name_; }
  uint32_t GetID() const override { return id_; }
  rocksdb::Status GetDescriptor(rocksdb::ColumnFamilyDescriptor*) override { return rocksdb::Status::NotSupported(); }
  const rocksdb::Comparator* GetComparator() const override { return rocksdb::BytewiseComparator(); }

 private:
  uint32_t id_;
  std::string name_;
};

std::string SequenceBytes(uint64_t sequence) { return {reinterpret_cast<const char*>(&sequence), sizeof(sequence)}; }

rocksdb::ColumnFamilyOptions FamilyOptions(ColumnFamily family, const StoreCache& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache.blocks;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  table.block_size = family == kFloats ? 16 << 10 : 8 << 10;
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  // Codes and floats are close to random bits: compressing them costs time and saves nothing.
  options.compression = family == kDocuments ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  constexpr uint64_t kBufferParts = 7;  // one each for meta, documents and codes, the rest for floats
  options.write_buffer_size = cache.write_buffer_bytes / kBufferParts * (family == kFloats ? 4 : 1);
  options.level_compaction_dynamic_level_bytes = true;
  return options;
}

}  // namespace

struct ShardStore::Batch::Rep {
  rocksdb::WriteBatch writes;
  FamilyId documents{kDocuments}, codes{kCodes}, floats{kFloats};
};

ShardStore::Batch::Batch() : rep_(std::make_unique<Rep>()) {}
ShardStore::Batch::~Batch() = default;
ShardStore::Batch::Batch(Batch&&) noexcept = default;
ShardStore::Batch& ShardStore::Batch::operator=(Batch&&) noexcept = default;

// A WriteBatch in memory refuses nothing but sizes beyond 4 GiB, which the limits on requests exclude.
void ShardStore::Batch::PutDocument(std::string_view id, std::string_view attributes) {
  rep_->writes.Put(&rep_->documents, ToSlice(id), ToSlice(attributes)).PermitUncheckedError();
}
void ShardStore::Batch::DeleteDocument(std::string_view id) {
  rep_->writes.Delete(&rep_->documents, ToSlice(id)).PermitUncheckedError();
}
void ShardStore::Batch::PutCode(uint32_t space, std::string_view id, const StoredCode& code) {
  EncodeCode(code, &scratch_);
  rep_->writes.Put(&rep_->codes, NumberedKey(space, id), scratch_).PermitUncheckedError();
}
void ShardStore::Batch::DeleteCode(uint32_t space, std::string_view id) {
  rep_->writes.Delete(&rep_->codes, NumberedKey(space, id)).PermitUncheckedError();
}
void ShardStore::Batch::PutFloats(uint32_t embedding, std::string_view id, std::string_view bytes) {
  rep_->writes.Put(&rep_->floats, NumberedKey(embedding, id), ToSlice(bytes)).PermitUncheckedError();
}
void ShardStore::Batch::DeleteFloats(uint32_t embedding, std::string_view id) {
  rep_->writes.Delete(&rep_->floats, NumberedKey(embedding, id)).PermitUncheckedError();
}
void ShardStore::Batch::PutMark(uint32_t embedding, std::string_view id) {
  rep_->writes.Put(&rep_->codes, NumberedKey(kMarkBase + embedding, id), rocksdb::Slice()).PermitUncheckedError();
}
void ShardStore::Batch::DeleteMark(uint32_t embedding, std::string_view id) {
  rep_->writes.Delete(&rep_->codes, NumberedKey(kMarkBase + embedding, id)).PermitUncheckedError();
}
void ShardStore::Batch::DeleteAllCodes(uint32_t space) {
  rep_->writes.DeleteRange(&rep_->codes, NumberedKey(space, ""), NumberedKey(space + 1, "")).PermitUncheckedError();
}
void ShardStore::Batch::DeleteAllFloats(uint32_t embedding) {
  rep_->writes.DeleteRange(&rep_->floats, NumberedKey(embedding, ""), NumberedKey(embedding + 1, ""))
      .PermitUncheckedError();
  DeleteAllCodes(kMarkBase + embedding);
}
size_t ShardStore::Batch::bytes() const { return rep_->writes.GetDataSize(); }

namespace {

class RocksView final : public ShardStore::View {
 public:
  explicit RocksView(std::shared_ptr<rocksdb::DB> db) : db_(std::move(db)), snapshot_(db_->GetSnapshot()) {}
  ~RocksView() override { db_->ReleaseSnapshot(snapshot_); }
  const rocksdb::Snapshot* snapshot() const { return snapshot_; }

 private:
  std::shared_ptr<rocksdb::DB> db_;
  const rocksdb::Snapshot* snapshot_;
};

class RocksStore final : public ShardStore {
 public:
  RocksStore(std::string path, std::shared_ptr<rocksdb::DB> db, std::vector<rocksdb::ColumnFamilyHandle*> families,
             std::shared_ptr<StoreCache> cache)
      : path_(std::move(path)), cache_(std::move(cache)), db_(std::move(db)), families_(std::move(families)) {}
  ~RocksStore() override {
    for (auto* family : families_) db_->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }

  absl::Status Initialize();
  uint32_t FamilyNumber(uint32_t index) const { return families_[index]->GetID(); }

  uint64_t sequence() const override { return sequence_.load(std::memory_order_relaxed); }

  absl::Status Commit(Batch batch, uint64_t sequence) override {
    rocksdb::WriteBatch& writes = batch.rep().writes;
    writes.Put(ToSlice(kSequenceKey), SequenceBytes(sequence)).PermitUncheckedError();
    rocksdb::WriteOptions options;
    options.sync = true;
    BEBR_RETURN_IF_ERROR(FromRocksDb(db_->Write(options, &writes), path_));
    sequence_.store(sequence, std::memory_order_relaxed);
    return absl::OkStatus();
  }

  std::shared_ptr<const View> MakeView() override { return std::make_shared<RocksView>(db_); }

  absl::StatusOr<std::vector<std::optional<std::string>>> GetFloats(const View* view, uint32_t embedding,
                                                                    absl::Span<const std::string_view> ids) override {
    std::vector<std::string> keys;
    keys.reserve(ids.size());
    for (std::string_view id : ids) keys.push_back(NumberedKey(embedding, id));
    std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
    return MultiGet(view, kFloats, slices);
  }

  absl::StatusOr<std::vector<std::optional<std::string>>> GetDocuments(
      const View* view, absl::Span<const std::string_view> ids) override {
    std::vector<rocksdb::Slice> slices;
    slices.reserve(ids.size());
    for (std::string_view id : ids) slices.push_back(ToSlice(id));
    return MultiGet(view, kDocuments, slices);
  }

  absl::Status VisitDocuments(absl::Span<const uint32_t> spaces, absl::Span<const uint32_t> embeddings,
                              const Visitor& visit) override;
  absl::Status VisitFloats(const View* view, uint32_t embedding, const FloatVisitor& visit) override;

  void AddStats(StorageStats& stats) const override {
    using Properties = rocksdb::DB::Properties;
    const auto add = [&](const std::string& property, uint64_t& sum) {
      uint64_t value = 0;
      if (db_->GetAggregatedIntProperty(property, &value)) sum += value;
    };
    add(Properties::kCurSizeAllMemTables, stats.write_buffer_bytes);
    add(Properties::kTotalSstFilesSize, stats.file_bytes);
    add(Properties::kEstimatePendingCompactionBytes, stats.pending_compaction_bytes);
  }

  absl::StatusOr<std::vector<uint32_t>> StoredSpaces() override { return Numbers(kCodes, kMarkBase); }
  absl::StatusOr<std::vector<uint32_t>> StoredEmbeddings() override { return Numbers(kFloats, kMarkBase); }

  absl::Status CompactSpace(uint32_t space) override { return CompactNumber(kCodes, space); }
  absl::Status CompactFloats(uint32_t embedding) override {
    BEBR_RETURN_IF_ERROR(CompactNumber(kCodes, kMarkBase + embedding));
    return CompactNumber(kFloats, embedding);
  }

  absl::Status Flush() override { return FromRocksDb(db_->Flush({}, families_), path_); }
  absl::Status Checkpoint(const std::string& path) override {
    rocksdb::Checkpoint* raw = nullptr;
    BEBR_RETURN_IF_ERROR(FromRocksDb(rocksdb::Checkpoint::Create(db_.get(), &raw), path_));
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
    return FromRocksDb(checkpoint->CreateCheckpoint(path), path_);
  }

 private:
  absl::Status CompactNumber(ColumnFamily family, uint32_t number) {
    const std::string begin = NumberedKey(number, ""), end = NumberedKey(number + 1, "");
    const rocksdb::Slice begin_slice = begin, end_slice = end;
    return FromRocksDb(db_->CompactRange({}, families_[family], &begin_slice, &end_slice), path_);
  }
  // The numbers below `limit` that keys begin with: one seek each.
  absl::StatusOr<std::vector<uint32_t>> Numbers(ColumnFamily family, uint32_t limit) {
    const std::unique_ptr<rocksdb::Iterator> cursor(db_->NewIterator({}, families_[family]));
    std::vector<uint32_t> numbers;
    for (cursor->SeekToFirst(); cursor->Valid(); cursor->Seek(NumberedKey(numbers.back() + 1, ""))) {
      const uint32_t number = NumberOfNumberedKey(ToView(cursor->key()));
      if (number >= limit) break;
      numbers.push_back(number);
    }
    BEBR_RETURN_IF_ERROR(FromRocksDb(cursor->status(), path_));
    return numbers;
  }

  absl::StatusOr<std::vector<std::optional<std::string>>> MultiGet(const View* view, ColumnFamily family,
                                                                   const std::vector<rocksdb::Slice>& keys) {
    rocksdb::ReadOptions options;
    if (view != nullptr) options.snapshot = static_cast<const RocksView*>(view)->snapshot();
    std::vector<rocksdb::PinnableSlice> values(keys.size());
    std::vector<rocksdb::Status> statuses(keys.size());
    db_->MultiGet(options, families_[family], keys.size(), keys.data(), values.data(), statuses.data());
    std::vector<std::optional<std::string>> results(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      if (statuses[i].IsNotFound()) continue;
      BEBR_RETURN_IF_ERROR(FromRocksDb(statuses[i], path_));
      results[i].emplace(ToView(values[i]));
    }
    return results;
  }

  const std::string path_;
  const std::shared_ptr<StoreCache> cache_;
  const std::shared_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;
  std::atomic<uint64_t> sequence_{0};
};

absl::Status RocksStore::Initialize() {
  std::string value;
  rocksdb::Status status = db_->Get({}, ToSlice(kFormatKey), &value);
  if (status.IsNotFound()) {
    rocksdb::WriteOptions options;
    options.sync = true;
    return FromRocksDb(db_->Put(options, ToSlice(kFormatKey), absl::StrCat(kShardFormatVersion)), path_);
  }
  BEBR_RETURN_IF_ERROR(FromRocksDb(status, path_));
  uint32_t version;
  if (!absl::SimpleAtoi(value, &version) || version != kShardFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrFormat("storage at %s has format %s; this server reads format %d", path_, value, kShardFormatVersion));
  }
  status = db_->Get({}, ToSlice(kSequenceKey), &value);
  if (status.IsNotFound()) return absl::OkStatus();
  BEBR_RETURN_IF_ERROR(FromRocksDb(status, path_));
  uint64_t sequence;
  if (value.size() != sizeof(sequence))
    return absl::DataLossError(absl::StrFormat("storage at %s: bad sequence", path_));
  std::memcpy(&sequence, value.data(), sizeof(sequence));
  sequence_.store(sequence, std::memory_order_relaxed);
  return absl::OkStatus();
}

namespace {

rocksdb::ReadOptions ForVisit() {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.readahead_size = 4 << 20;
  return options;
}

// Walks the keys of one number beside the documents. Keys without a document are passed over.
class NumberCursor {
 public:
  NumberCursor(uint32_t number, std::unique_ptr<rocksdb::Iterator> iterator)
      : number_(number), iterator_(std::move(iterator)) {
    iterator_->Seek(NumberedKey(number, ""));
  }
  // Whether there is a key for `id`; ids must grow from call to call.
  bool MoveTo(std::string_view id) {
    const std::string wanted = NumberedKey(number_, id);
    while (iterator_->Valid() && ToView(iterator_->key()) < wanted) iterator_->Next();
    return iterator_->Valid() && ToView(iterator_->key()) == wanted;
  }
  std::string_view value() const { return ToView(iterator_->value()); }
  rocksdb::Status status() const { return iterator_->status(); }

 private:
  uint32_t number_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

}  // namespace

absl::Status RocksStore::VisitDocuments(absl::Span<const uint32_t> spaces, absl::Span<const uint32_t> embeddings,
                                        const Visitor& visit) {
  const rocksdb::ReadOptions options = ForVisit();
  const std::unique_ptr<rocksdb::Iterator> documents(db_->NewIterator(options, families_[kDocuments]));
  std::vector<NumberCursor> cursors;  // of the spaces, then of the marks
  const auto add = [&](uint32_t number) {
    cursors.emplace_back(number, std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(options, families_[kCodes])));
  };
  for (const uint32_t space : spaces) add(space);
  for (const uint32_t embedding : embeddings) add(kMarkBase + embedding);
  std::vector<std::string> buffers(spaces.size());
  std::vector<std::optional<StoredCode>> codes(spaces.size());
  std::vector<uint32_t> marks;
  for (documents->SeekToFirst(); documents->Valid(); documents->Next()) {
    const std::string_view id = ToView(documents->key());
    for (size_t s = 0; s < spaces.size(); ++s) {
      codes[s].reset();
      if (!cursors[s].MoveTo(id)) continue;
      BEBR_ASSIGN_OR_RETURN(codes[s], DecodeCode(cursors[s].value(), &buffers[s]));
    }
    marks.clear();
    for (size_t e = 0; e < embeddings.size(); ++e) {
      if (cursors[spaces.size() + e].MoveTo(id)) marks.push_back(embeddings[e]);
    }
    BEBR_RETURN_IF_ERROR(visit(id, ToView(documents->value()), codes, marks));
  }
  BEBR_RETURN_IF_ERROR(FromRocksDb(documents->status(), path_));
  for (const NumberCursor& cursor : cursors) BEBR_RETURN_IF_ERROR(FromRocksDb(cursor.status(), path_));
  return absl::OkStatus();
}

absl::Status RocksStore::VisitFloats(const View* view, uint32_t embedding, const FloatVisitor& visit) {
  rocksdb::ReadOptions options = ForVisit();
  options.snapshot = static_cast<const RocksView*>(view)->snapshot();
  const std::string end = NumberedKey(embedding + 1, "");
  const rocksdb::Slice end_slice = end;
  options.iterate_upper_bound = &end_slice;
  const std::unique_ptr<rocksdb::Iterator> cursor(db_->NewIterator(options, families_[kFloats]));
  for (cursor->Seek(NumberedKey(embedding, "")); cursor->Valid(); cursor->Next()) {
    BEBR_RETURN_IF_ERROR(visit(IdOfNumberedKey(ToView(cursor->key())), ToView(cursor->value())));
  }
  return FromRocksDb(cursor->status(), path_);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ShardStore>> ShardStore::Open(const std::string& path,
                                                             std::shared_ptr<StoreCache> cache) {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_background_jobs = 2;
  options.statistics = cache->counters;
  options.keep_log_file_num = 4;
  options.max_open_files = 512;
  // Opening replays the log into memory and writes nothing, so a start costs reading; the bound keeps the log short.
  options.max_total_wal_size = 64 << 20;
  options.avoid_flush_during_recovery = true;
  // A log that ends in the middle of a record ends in a write that nobody was told about; a hole before its end is
  // corruption.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (uint32_t family = 0; family < kColumnFamilyNames.size(); ++family) {
    descriptors.emplace_back(kColumnFamilyNames[family], FamilyOptions(static_cast<ColumnFamily>(family), *cache));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  rocksdb::DB* raw = nullptr;
  BEBR_RETURN_IF_ERROR(FromRocksDb(rocksdb::DB::Open(options, path, descriptors, &families, &raw), path));
  std::shared_ptr<rocksdb::DB> db(raw);
  auto store = std::make_unique<RocksStore>(path, std::move(db), std::move(families), std::move(cache));
  // Batches name column families by number (FamilyId); RocksDB numbers them in the order of their creation.
  for (uint32_t family = 0; family < kColumnFamilyNames.size(); ++family) {
    if (store->FamilyNumber(family) != family) {
      return absl::DataLossError(
          absl::StrFormat("storage at %s: column family %s has the wrong number", path, kColumnFamilyNames[family]));
    }
  }
  BEBR_RETURN_IF_ERROR(store->Initialize());
  return store;
}

}  // namespace bebr
