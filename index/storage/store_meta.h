// What a store says of itself, in its meta family (FORMAT.md).
#ifndef BEBR_INDEX_STORAGE_STORE_META_H_
#define BEBR_INDEX_STORAGE_STORE_META_H_

#include <rocksdb/db.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "index/storage/collection_store.h"
#include "index/storage/rocks.h"

namespace bebr {

inline constexpr std::string_view kFormatKey = "format";
inline constexpr std::string_view kSequenceKey = "sequence";
inline constexpr std::string_view kShardsKey = "shards";
inline constexpr std::string_view kGenerationKey = "generation";
inline constexpr std::string_view kIdentityKey = "identity";
inline constexpr std::string_view kLayoutKey = "layout";
inline constexpr std::string_view kAppliedKey = "applied";

// What stands under them.
struct StoreMeta {
  uint32_t format = 0;
  std::string shards;  // in decimal digits
  StoreMark mark;
  std::string layout;
};

// FAILED_PRECONDITION if its format is none that this server reads, DATA_LOSS if it is not what a server writes; errors
// of RocksDB as `error_of` has them.
using ErrorOf = absl::Status (*)(const rocksdb::Status& status, const std::string& path);
absl::StatusOr<StoreMeta> ReadStoreMeta(rocksdb::DB* db, const std::string& path, ErrorOf error_of = FromRocksDb);

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_STORE_META_H_
