// What is read of a store: values by their keys, and all documents or floats of a shard.
#ifndef BEBR_INDEX_STORAGE_STORE_READER_H_
#define BEBR_INDEX_STORAGE_STORE_READER_H_

#include <rocksdb/db.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/storage/collection_store.h"
#include "index/storage/rocks.h"
#include "index/storage/store_place.h"

namespace bebr {

// Reads an open database, which outlives it, as its place does. `view` null is what is there now; FORMAT.md has the
// keys.
//
// Thread safety: all methods are const and may run at the same time. Errors: RocksDB's, with the path, and DATA_LOSS
// for keys and codes that no store writes.
class StoreReader {
 public:
  StoreReader(rocksdb::DB* db, std::vector<rocksdb::ColumnFamilyHandle*> families, std::string path,
              const StorePlace* place)
      : db_(db), families_(std::move(families)), path_(std::move(path)), place_(*place) {}

  // The values of `keys`; nullopt where there are none.
  absl::StatusOr<std::vector<std::optional<std::string>>> Get(const rocksdb::Snapshot* view, ColumnFamily family,
                                                              const std::vector<std::string>& keys,
                                                              bool fill_cache = true) const;
  // The numbers below `limit` that keys begin with: one seek each.
  absl::StatusOr<std::vector<uint32_t>> Numbers(ColumnFamily family, uint32_t limit) const;
  // As CollectionStore has them.
  absl::Status VisitDocuments(const rocksdb::Snapshot* view, uint32_t shard, absl::Span<const uint32_t> spaces,
                              absl::Span<const uint32_t> embeddings, const CollectionStore::Visitor& visit) const;
  absl::Status VisitFloats(const rocksdb::Snapshot* view, uint32_t embedding, uint32_t shard,
                           const CollectionStore::FloatVisitor& visit) const;

 private:
  absl::Status Error(const rocksdb::Status& status) const { return place_.Explain(FromRocksDb(status, path_)); }

  rocksdb::DB* const db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;
  const std::string path_;
  const StorePlace& place_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_STORE_READER_H_
