#include "index/storage/collection_store.h"

#include <rocksdb/db.h>
#include <rocksdb/utilities/checkpoint.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "index/storage/database.h"
#include "index/storage/files.h"
#include "index/storage/rocks.h"
#include "index/storage/store_files.h"
#include "index/storage/store_meta.h"
#include "index/storage/store_reader.h"
#include "index/storage/table_check.h"
#include "index/storage/waiting_store.h"

namespace bebr {
namespace {

std::string SequenceBytes(uint64_t sequence) { return {reinterpret_cast<const char*>(&sequence), sizeof(sequence)}; }

// A start keeps the logs of all starts before it until what they hold is written to table files. From so many on it
// writes that itself.
constexpr size_t kMostLogs = 8;

class RocksView final : public CollectionStore::View {
 public:
  explicit RocksView(std::shared_ptr<Database> database)
      : database_(std::move(database)), snapshot_(database_->db->GetSnapshot()) {}
  ~RocksView() override { database_->db->ReleaseSnapshot(snapshot_); }
  const rocksdb::Snapshot* snapshot() const { return snapshot_; }

 private:
  std::shared_ptr<Database> database_;
  const rocksdb::Snapshot* snapshot_;
};

// Null, which is what is there now, of no view.
const rocksdb::Snapshot* SnapshotOf(const CollectionStore::View* view) {
  return view == nullptr ? nullptr : static_cast<const RocksView*>(view)->snapshot();
}

class RocksStore final : public CollectionStore {
 public:
  RocksStore(std::string path, std::shared_ptr<Database> database, std::shared_ptr<StoreCache> cache)
      : path_(std::move(path)),
        cache_(std::move(cache)),
        database_(std::move(database)),
        db_(database_->db.get()),
        families_(database_->families),
        reader_(db_, families_, path_, database_->place.get()) {}

  // Writes what a new store says of itself; and the other way round.
  absl::Status WriteMeta(uint32_t shards, std::string_view identity);
  absl::Status ReadMeta(uint32_t shards);
  // Of a database that is open for reading alone: health() is `error` for ever.
  void RefuseWrites(const absl::Status& error) { database_->health->WriteFailed(error); }

  uint64_t sequence() const override { return sequence_.load(std::memory_order_relaxed); }

  absl::StatusOr<absl::Duration> Commit(Batch batch, uint64_t sequence) override {
    return CommitInSteps(std::move(batch), sequence, [] {});
  }
  absl::StatusOr<absl::Duration> CommitInSteps(Batch batch, uint64_t sequence,
                                               absl::FunctionRef<void()> logged) override {
    rocksdb::WriteBatch& writes = batch.rep().writes;
    writes.Put(ToSlice(kSequenceKey), SequenceBytes(sequence)).PermitUncheckedError();
    if (batch.format() > kStoreFormatVersion) {
      // Before the write: if it fails, what of it is there after all has the format that Recover() writes.
      format_.store(std::max(batch.format(), format_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
      writes.Put(ToSlice(kFormatKey), absl::StrCat(format_.load(std::memory_order_relaxed))).PermitUncheckedError();
    }
    BEBR_ASSIGN_OR_RETURN(const absl::Duration synced, Write(&writes, logged));
    sequence_.store(sequence, std::memory_order_relaxed);
    return synced;
  }

  StoreMark mark() const override { return {generation_.load(std::memory_order_relaxed), sequence(), identity_}; }
  absl::Status SetGeneration(uint64_t generation) override {
    BEBR_RETURN_IF_ERROR(SetMeta(kGenerationKey, absl::StrCat(generation)));
    generation_.store(generation, std::memory_order_relaxed);
    return absl::OkStatus();
  }
  absl::Status SetIdentity(std::string_view identity) override {
    BEBR_RETURN_IF_ERROR(SetMeta(kIdentityKey, std::string(identity)));
    identity_ = identity;
    return absl::OkStatus();
  }
  std::string layout() const override { return layout_; }
  absl::Status SetLayout(std::string_view name) override {
    BEBR_RETURN_IF_ERROR(SetMeta(kLayoutKey, std::string(name)));
    layout_ = name;
    return absl::OkStatus();
  }

  std::vector<Table> Tables() const override {
    std::vector<rocksdb::LiveFileMetaData> files;
    db_->GetLiveFilesMetaData(&files);
    std::vector<Table> tables;
    for (const rocksdb::LiveFileMetaData& file : files) tables.push_back({file.relative_filename, file.size});
    return tables;
  }
  absl::Status CheckTable(const Table& table) const override {
    absl::Status status = bebr::CheckTable(path_, table.name);
    if (IsDiskError(status)) {
      status = absl::DataLossError(absl::StrFormat("%s/%s cannot be read: %s", path_, table.name, status.message()));
    }
    const auto is_it = [&](const Table& other) { return other.name == table.name; };
    const std::vector<Table> now = Tables();
    return std::any_of(now.begin(), now.end(), is_it) ? status : absl::OkStatus();
  }

  absl::Status health() const override {
    absl::Status status = database_->health->status();
    return status.ok() ? database_->place->Check() : database_->place->Explain(status);
  }
  absl::Status Recover() override;
  void Leave() override { database_->place->Leave(); }
  // Writes what the logs hold to table files, and begins a new one.
  rocksdb::Status BeginNewLog();

  std::shared_ptr<const View> MakeView() override { return std::make_shared<RocksView>(database_); }

  absl::StatusOr<std::vector<std::optional<std::string>>> GetFloats(const View* view, uint32_t embedding,
                                                                    uint32_t shard,
                                                                    absl::Span<const std::string_view> ids) override {
    std::vector<std::string> keys;
    keys.reserve(ids.size());
    for (std::string_view id : ids) keys.push_back(NumberedKey(embedding, shard, id));
    return reader_.Get(SnapshotOf(view), kFloats, keys);
  }

  absl::StatusOr<std::vector<std::optional<std::string>>> GetDocuments(const View* view, uint32_t shard,
                                                                       absl::Span<const std::string_view> ids,
                                                                       bool fill_cache) override {
    std::vector<std::string> keys;
    keys.reserve(ids.size());
    for (std::string_view id : ids) keys.push_back(DocumentKey(shard, id));
    return reader_.Get(SnapshotOf(view), kDocuments, keys, fill_cache);
  }

  absl::StatusOr<std::vector<std::optional<std::string>>> GetCodes(const View* view, uint32_t space, uint32_t shard,
                                                                   absl::Span<const std::string_view> ids) override {
    std::vector<std::string> keys;
    keys.reserve(ids.size());
    for (std::string_view id : ids) keys.push_back(NumberedKey(space, shard, id));
    return reader_.Get(SnapshotOf(view), kCodes, keys, /*fill_cache=*/false);
  }

  absl::StatusOr<std::string> GetApplied(const View* view) override {
    BEBR_ASSIGN_OR_RETURN(auto value, reader_.Get(SnapshotOf(view), kMeta, {std::string(kAppliedKey)}));
    return std::move(value[0]).value_or("");
  }

  absl::Status VisitDocuments(const View* view, uint32_t shard, absl::Span<const uint32_t> spaces,
                              absl::Span<const uint32_t> embeddings, const Visitor& visit) override {
    return reader_.VisitDocuments(SnapshotOf(view), shard, spaces, embeddings, visit);
  }
  absl::Status VisitFloats(const View* view, uint32_t embedding, uint32_t shard, const FloatVisitor& visit) override {
    return reader_.VisitFloats(SnapshotOf(view), embedding, shard, visit);
  }

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

  absl::StatusOr<std::vector<uint32_t>> StoredSpaces() override { return reader_.Numbers(kCodes, kMarkBase); }
  absl::StatusOr<std::vector<uint32_t>> StoredEmbeddings() override { return reader_.Numbers(kFloats, kMarkBase); }

  absl::Status CompactSpace(uint32_t space) override { return CompactNumber(kCodes, space); }
  absl::Status CompactFloats(uint32_t embedding) override {
    BEBR_RETURN_IF_ERROR(CompactNumber(kCodes, kMarkBase + embedding));
    return CompactNumber(kFloats, embedding);
  }
  void EndCompactions() override { db_->DisableManualCompaction(); }

  absl::Status Flush() override {
    BEBR_RETURN_IF_ERROR(database_->place->Check());
    return Error(FlushAll());
  }
  absl::Status Checkpoint(const std::string& path) override {
    BEBR_RETURN_IF_ERROR(database_->place->Check());
    rocksdb::Checkpoint* raw = nullptr;
    BEBR_RETURN_IF_ERROR(Error(rocksdb::Checkpoint::Create(db_, &raw)));
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
    BEBR_RETURN_IF_ERROR(Error(checkpoint->CreateCheckpoint(path)));
    BEBR_ASSIGN_OR_RETURN(const StoreFileList made, CheckStoreFiles(path, /*repair=*/false));
    return made.Write(path);
  }

 private:
  absl::Status Error(const rocksdb::Status& status) const {
    return database_->place->Explain(FromRocksDb(status, path_));
  }
  // Writes all families to table files. It does not wait for compactions, which a failing disk fails for as long as it
  // does.
  rocksdb::Status FlushAll() {
    rocksdb::FlushOptions at_once;
    at_once.allow_write_stall = true;
    return db_->Flush(at_once, families_);
  }
  // Writes a batch, syncs the log and calls `logged`; how long the sync took.
  absl::StatusOr<absl::Duration> Write(rocksdb::WriteBatch* writes, absl::FunctionRef<void()> logged);
  absl::Status SetMeta(std::string_view key, const std::string& value) {
    rocksdb::WriteBatch writes;
    writes.Put(ToSlice(key), value).PermitUncheckedError();
    return Write(&writes, [] {}).status();
  }
  absl::Status CompactNumber(ColumnFamily family, uint32_t number) {
    const std::string begin = NumberPrefix(number), end = NumberPrefix(number + 1);
    const rocksdb::Slice begin_slice = begin, end_slice = end;
    const rocksdb::Status status = db_->CompactRange({}, families_[family], &begin_slice, &end_slice);
    if (status.IsManualCompactionPaused()) return absl::CancelledError("the server is shutting down");
    return Error(status);
  }

  const std::string path_;
  const std::shared_ptr<StoreCache> cache_;
  const std::shared_ptr<Database> database_;
  rocksdb::DB* const db_;  // database_'s
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;
  const StoreReader reader_;
  std::atomic<uint64_t> sequence_{0};
  std::atomic<uint32_t> format_{kStoreFormatVersion};
  std::atomic<uint64_t> generation_{0};
  std::string identity_, layout_;
  Mutex recover_mutex_;  // one attempt at a time
};

absl::StatusOr<absl::Duration> RocksStore::Write(rocksdb::WriteBatch* writes, absl::FunctionRef<void()> logged) {
  if (database_->health->refuses_writes()) {
    absl::Status error = health();
    if (absl::IsNotFound(error)) return error;  // dropped
    return absl::Status(error.code(), absl::StrFormat("no write is taken until this has passed: %s", error.message()));
  }
  BEBR_RETURN_IF_ERROR(database_->place->Check());
  rocksdb::WriteOptions options;
  options.sync = true;
  rocksdb::Status status;
  absl::Duration synced;
  {
    const ShardFileSystem::Committing committing(logged);
    status = db_->Write(options, writes);
    synced = committing.synced();
  }
  if (status.IsBusy()) status = database_->files->log_error();
  absl::Status result = Error(status);
  if (result.ok()) return synced;
  if (absl::IsNotFound(result)) return result;  // dropped meanwhile
  database_->health->WriteFailed(result);
  return result;
}

absl::Status RocksStore::Recover() {
  MutexLock lock(&recover_mutex_);
  BEBR_RETURN_IF_ERROR(database_->place->Check());  // nothing is written to another directory
  if (health().ok()) return absl::OkStatus();
  const uint64_t dealt_with = database_->health->failed_writes();
  rocksdb::Status status = db_->Resume();
  // Where the log is whole, and RocksDB refused the write for another reason, its record may stand there all the same.
  if (status.ok() && (database_->files->log_failed() || database_->health->refuses_writes())) {
    status = BeginNewLog();
    if (status.ok() && database_->files->log_failed()) status = database_->files->log_error();
  }
  BEBR_RETURN_IF_ERROR(Error(status));
  BEBR_RETURN_IF_ERROR(database_->files->CutFailedLogs());
  database_->health->Recovered(dealt_with);
  return absl::OkStatus();
}

rocksdb::Status RocksStore::BeginNewLog() {
  // A new log is begun when something is written to table files. There may be nothing, so something is made: what is
  // there already, written again past the log.
  rocksdb::WriteOptions past_log;
  past_log.disableWAL = true;
  past_log.no_slowdown = true;
  const rocksdb::Status status =
      db_->Put(past_log, ToSlice(kFormatKey), absl::StrCat(format_.load(std::memory_order_relaxed)));
  return status.ok() ? FlushAll() : status;
}

absl::Status RocksStore::WriteMeta(uint32_t shards, std::string_view identity) {
  rocksdb::WriteBatch meta;
  meta.Put(ToSlice(kFormatKey), absl::StrCat(kStoreFormatVersion)).PermitUncheckedError();
  meta.Put(ToSlice(kShardsKey), absl::StrCat(shards)).PermitUncheckedError();
  if (!identity.empty()) meta.Put(ToSlice(kIdentityKey), ToSlice(identity)).PermitUncheckedError();
  identity_ = identity;
  return Write(&meta, [] {}).status();
}

absl::Status RocksStore::ReadMeta(uint32_t shards) {
  BEBR_ASSIGN_OR_RETURN(StoreMeta meta, ReadStoreMeta(db_, path_));
  if (meta.shards != absl::StrCat(shards)) {
    return absl::DataLossError(
        absl::StrFormat("storage at %s holds %s shards; its collection has %d", path_, meta.shards, shards));
  }
  format_.store(meta.format, std::memory_order_relaxed);
  generation_.store(meta.mark.generation, std::memory_order_relaxed);
  sequence_.store(meta.mark.sequence, std::memory_order_relaxed);
  identity_ = std::move(meta.mark.identity);
  layout_ = std::move(meta.layout);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<RocksStore>> OpenStore(const std::string& path, uint32_t shards,
                                                      std::shared_ptr<StoreCache> cache, StoreFileList found,
                                                      Database::Mode mode, std::string_view identity = "") {
  BEBR_ASSIGN_OR_RETURN(std::shared_ptr<Database> database, Database::Open(path, *cache, std::move(found), mode));
  auto store = std::make_unique<RocksStore>(path, std::move(database), std::move(cache));
  const bool is_there = mode == Database::Mode::kThere || mode == Database::Mode::kReadOnly;
  BEBR_RETURN_IF_ERROR(is_there ? store->ReadMeta(shards) : store->WriteMeta(shards, identity));
  return store;
}

// Opens a store that is there, for writes.
absl::StatusOr<std::unique_ptr<CollectionStore>> OpenWritable(const std::string& path, uint32_t shards,
                                                              std::shared_ptr<StoreCache> cache) {
  BEBR_ASSIGN_OR_RETURN(StoreFileList found, CheckStoreFiles(path, /*repair=*/true));
  const size_t logs = found.logs.size();
  BEBR_ASSIGN_OR_RETURN(auto store,
                        OpenStore(path, shards, std::move(cache), std::move(found), Database::Mode::kThere));
  if (logs < kMostLogs) return store;
  const rocksdb::Status status = store->BeginNewLog();
  if (!status.ok()) LogWarning("storage at {}: its {} logs stay: {}", path, logs, status.ToString());
  return store;
}

// RocksDB writes when it opens a database: a disk that takes nothing may still be read. One that is open already may
// not, wherever it is.
bool MayBeReadable(const absl::Status& error) {
  const auto says = [&](int number) {
    return absl::StrContains(error.message(), std::generic_category().message(number));
  };
  return !absl::IsDataLoss(error) && !absl::IsFailedPrecondition(error) && !says(ENOLCK) && !says(EAGAIN);
}

}  // namespace

absl::StatusOr<std::unique_ptr<CollectionStore>> CollectionStore::Open(const std::string& path, uint32_t shards,
                                                                       std::shared_ptr<StoreCache> cache) {
  absl::StatusOr<std::unique_ptr<CollectionStore>> store = OpenWritable(path, shards, cache);
  if (store.ok() || !MayBeReadable(store.status())) return store;
  BEBR_ASSIGN_OR_RETURN(StoreFileList found, CheckStoreFiles(path, /*repair=*/false));
  auto readable = OpenStore(path, shards, cache, std::move(found), Database::Mode::kReadOnly);
  if (!readable.ok()) return store;
  (*readable)->RefuseWrites(store.status());
  return std::make_unique<WaitingStore>(path, *std::move(readable), [path, shards, cache = std::move(cache)] {
    return OpenWritable(path, shards, cache);
  });
}

absl::StatusOr<std::unique_ptr<CollectionStore>> CollectionStore::Create(const std::string& path, uint32_t shards,
                                                                         std::shared_ptr<StoreCache> cache,
                                                                         std::string_view identity) {
  BEBR_RETURN_IF_ERROR(CreateDirectories(path));
  return OpenStore(path, shards, std::move(cache), {}, Database::Mode::kNew, identity);
}

absl::Status CollectionStore::Build(const std::string& path, uint32_t shards, std::shared_ptr<StoreCache> cache,
                                    std::string_view identity) {
  // RocksDB makes it too, and logs as an error that it was not there.
  BEBR_RETURN_IF_ERROR(CreateDirectories(path, /*synced=*/false));
  return OpenStore(path, shards, std::move(cache), {}, Database::Mode::kNewAndNotSynced, identity).status();
}

}  // namespace bebr
