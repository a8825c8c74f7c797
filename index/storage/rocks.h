// What the files of index/storage share of RocksDB: the column families, the batch, its errors and its log lines.
#ifndef BEBR_INDEX_STORAGE_ROCKS_H_
#define BEBR_INDEX_STORAGE_ROCKS_H_

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <cstdarg>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "index/storage/collection_store.h"

namespace bebr {

// The column families of a store; their numbers are on disk and never change.
enum ColumnFamily : uint32_t { kMeta = 0, kDocuments = 1, kCodes = 2, kFloats = 3 };
inline constexpr std::array<const char*, 4> kColumnFamilyNames = {"default", "documents", "codes", "floats"};

inline rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// The error in our terms, with the path: corruption is DATA_LOSS, a full disk RESOURCE_EXHAUSTED, all else UNAVAILABLE.
absl::Status FromRocksDb(const rocksdb::Status& status, const std::string& path);
// Whether an error is one of the disk itself, which could not read a sector (EIO), and not of descriptors, rights or
// memory. RocksDB keeps of the number nothing but its text.
bool IsDiskError(const absl::Status& status);

// Passes RocksDB's warnings and errors to our log. With it RocksDB keeps no log file of its own: Debian's build of it
// ends the process when it cannot write that file.
class RocksLog final : public rocksdb::Logger {
 public:
  explicit RocksLog(std::string path) : Logger(rocksdb::InfoLogLevel::WARN_LEVEL), path_(std::move(path)) {}
  ~RocksLog() override = default;
  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    Logv(rocksdb::InfoLogLevel::INFO_LEVEL, format, arguments);
  }
  void Logv(rocksdb::InfoLogLevel level, const char* format, va_list arguments) override;
  void LogHeader(const char*, va_list) override {}

 private:
  const std::string path_;
};

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

// What a Batch holds: a batch of RocksDB, and the handles that it is filled by.
struct CollectionStore::Batch::Rep {
  explicit Rep(size_t reserved_bytes) : writes(reserved_bytes) {}
  rocksdb::WriteBatch writes;
  FamilyId documents{kDocuments}, codes{kCodes}, floats{kFloats};
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_ROCKS_H_
