#include "index/storage/damaged_store.h"

#include <rocksdb/db.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "index/base/status_macros.h"
#include "index/storage/format.h"
#include "index/storage/rocks.h"
#include "index/storage/store_files.h"
#include "index/storage/store_meta.h"

namespace bebr {
namespace {

// As FromRocksDb; a file that is not there, or that the disk cannot read, is a loss, too.
absl::Status FromDamaged(const rocksdb::Status& status, const std::string& path) {
  absl::Status result = FromRocksDb(status, path);
  if (!status.IsPathNotFound() && !IsDiskError(result)) return result;
  // RocksDB tries the name that table files had in its early days last.
  return absl::DataLossError(absl::StrReplaceAll(result.message(), {{".ldb", ".sst"}}));
}

class RocksDamagedStore final : public DamagedStore {
 public:
  RocksDamagedStore(std::string path, rocksdb::DB* db, std::vector<rocksdb::ColumnFamilyHandle*> families)
      : path_(std::move(path)), db_(db), families_(std::move(families)) {}
  ~RocksDamagedStore() override {
    for (auto* family : families_) db_->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }

  absl::Status ReadMeta() {
    BEBR_ASSIGN_OR_RETURN(meta_, ReadStoreMeta(db_.get(), path_, FromDamaged));
    return absl::OkStatus();
  }

  StoreMark mark() const override { return meta_.mark; }
  uint32_t format() const override { return meta_.format; }

  absl::Status VisitDocuments(uint32_t shard, const Visitor& visit) const override {
    const std::string end = DocumentKey(shard + 1, "");
    const rocksdb::Slice end_slice = end;
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    options.iterate_upper_bound = &end_slice;
    const std::unique_ptr<rocksdb::Iterator> cursor(db_->NewIterator(options, families_[kDocuments]));
    for (cursor->Seek(DocumentKey(shard, "")); cursor->Valid(); cursor->Next()) {
      const auto key = SplitDocumentKey(ToView(cursor->key()));  // it lies between two that have a shard
      BEBR_RETURN_IF_ERROR(visit(key->id, ToView(cursor->value())));
    }
    return cursor->status().ok() ? absl::OkStatus() : FromDamaged(cursor->status(), path_);
  }
  absl::StatusOr<std::optional<std::string>> GetCode(uint32_t space, uint32_t shard,
                                                     std::string_view id) const override {
    return Get(kCodes, NumberedKey(space, shard, id));
  }
  absl::StatusOr<std::optional<std::string>> GetFloats(uint32_t embedding, uint32_t shard,
                                                       std::string_view id) const override {
    return Get(kFloats, NumberedKey(embedding, shard, id));
  }

 private:
  absl::StatusOr<std::optional<std::string>> Get(ColumnFamily family, std::string_view key) const {
    std::string value;
    const rocksdb::Status status = db_->Get({}, families_[family], ToSlice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return FromDamaged(status, path_);
    return value;
  }

  const std::string path_;
  const std::unique_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;
  StoreMeta meta_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DamagedStore>> DamagedStore::Open(const std::string& path) {
  BEBR_RETURN_IF_ERROR(CheckStoreFiles(path, /*repair=*/false).status());
  rocksdb::DBOptions options;
  options.info_log = std::make_shared<RocksLog>(path);
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  // Tables that cannot be opened are errors of the reads that need them.
  options.paranoid_checks = false;
  options.skip_checking_sst_file_sizes_on_db_open = true;
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const char* name : kColumnFamilyNames) descriptors.emplace_back(name, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, path, descriptors, &families, &db);
  if (!status.ok()) return FromDamaged(status, path);
  auto store = std::make_unique<RocksDamagedStore>(path, db, std::move(families));
  BEBR_RETURN_IF_ERROR(store->ReadMeta());
  return store;
}

}  // namespace bebr
