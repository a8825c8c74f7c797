#include "index/storage/database.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/storage/format.h"
#include "index/storage/rocks.h"
#include "index/storage/table_check.h"

namespace bebr {
absl::StatusOr<std::shared_ptr<Database>> Database::Open(const std::string& path, const StoreCache& cache,
                                                         StoreFileList found, Mode mode) {
  auto database = std::make_shared<Database>();
  database->mode = mode;
  database->files = std::make_shared<ShardFileSystem>(rocksdb::FileSystem::Default(), path, std::move(found),
                                                      mode != Mode::kNewAndNotSynced);
  database->env = rocksdb::NewCompositeEnv(database->files);
  database->health = std::make_shared<StoreHealth>(path);
  rocksdb::DBOptions options = DatabaseOptions(cache, mode == Mode::kNew || mode == Mode::kNewAndNotSynced);
  options.env = database->env.get();
  options.info_log = std::make_shared<RocksLog>(path);
  options.listeners.push_back(database->health);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (uint32_t family = 0; family < kColumnFamilyNames.size(); ++family) {
    descriptors.emplace_back(kColumnFamilyNames[family], FamilyOptions(static_cast<ColumnFamily>(family), cache));
  }
  // What is only read goes on to be read when it is open for writes too, which may remove its tables: those that are
  // open stay.
  if (mode == Mode::kReadOnly) options.max_open_files = -1;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      mode == Mode::kReadOnly ? rocksdb::DB::OpenForReadOnly(options, path, descriptors, &database->families, &db)
                              : rocksdb::DB::Open(options, path, descriptors, &database->families, &db);
  BEBR_RETURN_IF_ERROR(WithDamagedFile(status, path));
  database->db.reset(db);
  database->place = std::make_unique<StorePlace>(path);
  if (!database->place->known())
    return absl::UnavailableError(absl::StrFormat("storage at %s: its directory cannot be looked at", path));
  // Batches name column families by number (FamilyId); RocksDB numbers them in the order of their creation.
  for (uint32_t family = 0; family < kColumnFamilyNames.size(); ++family) {
    if (database->families[family]->GetID() == family) continue;
    return absl::DataLossError(
        absl::StrFormat("storage at %s: column family %s has the wrong number", path, kColumnFamilyNames[family]));
  }
  return database;
}

Database::~Database() {
  if (db == nullptr) return;
  for (auto* family : families) db->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  db.reset();
  // A dropped collection's directory is gone, and what is in its place is none of this store's. What is only read may
  // be another's by now.
  if (mode == Mode::kReadOnly || place == nullptr || !place->Check().ok()) return;
  files->WriteList().IgnoreError();  // where it cannot be written, the next start knows less than it could
}

}  // namespace bebr
