// A collection's RocksDB, open, and what it stands on.
#ifndef BEBR_INDEX_STORAGE_DATABASE_H_
#define BEBR_INDEX_STORAGE_DATABASE_H_

#include <rocksdb/db.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/storage/shard_file_system.h"
#include "index/storage/store_files.h"
#include "index/storage/store_health.h"
#include "index/storage/store_options.h"
#include "index/storage/store_place.h"

namespace bebr {

// A Database is an open RocksDB with its column families, in the order of kColumnFamilyNames, and its file system,
// which both outlive it. Closed by its destructor.
struct Database {
  enum class Mode {
    kThere,            // it is there already
    kReadOnly,         // likewise, and nothing of it is written or locked
    kNew,              // it is made
    kNewAndNotSynced,  // likewise, and not synced
  };

  // Opens the database at `path`, of which `found` is what there is, or makes one. Errors: as FromRocksDb's; DATA_LOSS
  // names the file that is damaged.
  static absl::StatusOr<std::shared_ptr<Database>> Open(const std::string& path, const StoreCache& cache,
                                                        StoreFileList found, Mode mode);
  ~Database();

  Mode mode;
  std::shared_ptr<ShardFileSystem> files;
  std::unique_ptr<rocksdb::Env> env;
  std::shared_ptr<StoreHealth> health;
  std::unique_ptr<StorePlace> place;
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_DATABASE_H_
