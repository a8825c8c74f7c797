#include "index/storage/merge_shards.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/storage/files.h"
#include "index/storage/format.h"
#include "index/storage/rocks.h"
#include "index/storage/store_files.h"

namespace bebr {
namespace {

constexpr const char* kOldFormat = "1";
constexpr size_t kBatchBytes = 4 << 20;

std::string OldShardPath(const std::string& directory, uint32_t shard) {
  return absl::StrFormat("%s/shard-%03d", directory, shard);
}
// A key of codes or floats of format 1 is a number, big-endian, and the id. Nullopt if it is too short to be one.
struct OldKeyParts {
  uint32_t number = 0;
  std::string_view id;
};
std::optional<OldKeyParts> SplitOldKey(std::string_view key) {
  OldKeyParts parts;
  if (key.size() < sizeof(parts.number)) return std::nullopt;
  for (const char byte : key.substr(0, sizeof(parts.number))) {
    parts.number = parts.number << 8 | static_cast<uint8_t>(byte);
  }
  parts.id = key.substr(sizeof(parts.number));
  return parts;
}

std::string MergingPath(const std::string& directory) { return directory + "/merging"; }

// A shard's RocksDB of format 1, read only.
class OldShard {
 public:
  static absl::StatusOr<std::unique_ptr<OldShard>> Open(std::string path) {
    BEBR_RETURN_IF_ERROR(CheckStoreFiles(path, /*repair=*/true).status());
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (const char* name : kColumnFamilyNames) descriptors.emplace_back(name, rocksdb::ColumnFamilyOptions());
    rocksdb::DBOptions options;
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    rocksdb::DB* db = nullptr;
    std::vector<rocksdb::ColumnFamilyHandle*> families;
    const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, path, descriptors, &families, &db);
    BEBR_RETURN_IF_ERROR(FromRocksDb(status, path));
    std::unique_ptr<OldShard> shard(new OldShard(std::move(path), db, std::move(families)));
    std::string format, sequence;
    BEBR_RETURN_IF_ERROR(shard->Meta("format", &format));
    BEBR_RETURN_IF_ERROR(shard->Meta("sequence", &sequence));
    if (format != kOldFormat || (!sequence.empty() && sequence.size() != sizeof(shard->sequence_))) {
      return absl::DataLossError(absl::StrFormat("storage at %s has format \"%s\"; its collection's manifest says %s",
                                                 shard->path_, format, kOldFormat));
    }
    std::memcpy(&shard->sequence_, sequence.data(), sequence.size());
    return shard;
  }
  ~OldShard() {
    for (auto* family : families_) db_->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }

  uint64_t sequence() const { return sequence_; }

  // Calls visit(key, value) for all of a family.
  template <typename Visit>
  absl::Status ForEach(ColumnFamily family, const Visit& visit) {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    options.readahead_size = 4 << 20;
    const std::unique_ptr<rocksdb::Iterator> cursor(db_->NewIterator(options, families_[family]));
    for (cursor->SeekToFirst(); cursor->Valid(); cursor->Next()) {
      BEBR_RETURN_IF_ERROR(visit(ToView(cursor->key()), ToView(cursor->value())));
    }
    return FromRocksDb(cursor->status(), path_);
  }

 private:
  OldShard(std::string path, rocksdb::DB* db, std::vector<rocksdb::ColumnFamilyHandle*> families)
      : path_(std::move(path)), db_(db), families_(std::move(families)) {}

  absl::Status Meta(const char* key, std::string* value) {
    const rocksdb::Status status = db_->Get({}, key, value);
    return status.IsNotFound() ? absl::OkStatus() : FromRocksDb(status, path_);
  }

  const std::string path_;
  const std::unique_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;
  uint64_t sequence_ = 0;
};

// Fills a store with old shards, some megabytes a batch.
class Merger {
 public:
  explicit Merger(CollectionStore* store) : store_(*store) {}

  absl::Status Add(uint32_t number, OldShard& shard) {
    BEBR_RETURN_IF_ERROR(shard.ForEach(kDocuments, [&](std::string_view id, std::string_view attributes) {
      batch_.PutDocument(number, id, attributes);
      return CommitIfLarge();
    }));
    BEBR_RETURN_IF_ERROR(shard.ForEach(kCodes, [&](std::string_view key, std::string_view value) -> absl::Status {
      const auto parts = SplitOldKey(key);
      if (!parts.has_value()) return BadKey();
      if (parts->number >= kMarkBase) {
        batch_.PutMark(parts->number - kMarkBase, number, parts->id);
      } else {
        BEBR_ASSIGN_OR_RETURN(const StoredCode code, DecodeCode(value, &scratch_));
        batch_.PutCode(parts->number, number, parts->id, code);
      }
      return CommitIfLarge();
    }));
    return shard.ForEach(kFloats, [&](std::string_view key, std::string_view value) {
      const auto parts = SplitOldKey(key);
      if (!parts.has_value()) return BadKey();
      batch_.PutFloats(parts->number, number, parts->id, value);
      return CommitIfLarge();
    });
  }

  absl::Status Finish(uint64_t sequence) {
    BEBR_RETURN_IF_ERROR(store_.Commit(std::move(batch_), sequence).status());
    return store_.Flush();
  }

 private:
  static absl::Status BadKey() { return absl::DataLossError("a stored key has no number"); }
  absl::Status CommitIfLarge() {
    if (batch_.bytes() < kBatchBytes) return absl::OkStatus();
    return store_.Commit(std::exchange(batch_, {}), 0).status();
  }

  CollectionStore& store_;
  CollectionStore::Batch batch_;
  std::string scratch_;
};

absl::Status CheckDisk(const std::string& directory) {
  const uint64_t needed = SizeOf(directory).file_bytes;
  const DiskSpace space = DiskSpaceOf(directory);
  if (space.total_bytes == 0 || space.free_bytes >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat(
      "%s is of format 1 and is copied once to be of this server's; that takes %d bytes of disk and %d are left. "
      "Enlarge the disk, or go on with the earlier server",
      directory, needed, space.free_bytes));
}

}  // namespace

absl::Status MergeShardStores(const std::string& directory, uint32_t shards, std::shared_ptr<StoreCache> cache) {
  const std::string merging = MergingPath(directory);
  BEBR_RETURN_IF_ERROR(RemoveAll(merging));
  BEBR_RETURN_IF_ERROR(CheckDisk(directory));
  LogInfo("{}: making one store of {} shards, once", directory, shards);
  BEBR_ASSIGN_OR_RETURN(const auto store, CollectionStore::Create(merging, shards, std::move(cache)));
  Merger merger(store.get());
  uint64_t sequence = 0;
  for (uint32_t s = 0; s < shards; ++s) {
    BEBR_ASSIGN_OR_RETURN(const auto shard, OldShard::Open(OldShardPath(directory, s)));
    if (const absl::Status status = merger.Add(s, *shard); !status.ok()) {
      return absl::Status(status.code(), absl::StrFormat("%s: %s", OldShardPath(directory, s), status.message()));
    }
    sequence += shard->sequence();
  }
  return merger.Finish(sequence);
}

absl::Status FinishMergingShardStores(const std::string& directory) {
  const std::string merging = MergingPath(directory);
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(merging));
  if (!there) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectories(directory));
  for (const std::string& name : names) {
    if (name.starts_with("shard-")) BEBR_RETURN_IF_ERROR(RemoveAll(absl::StrCat(directory, "/", name)));
  }
  return RenameDirectory(merging, StorePath(directory));
}

}  // namespace bebr
