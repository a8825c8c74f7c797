#include "index/storage/table_check.h"

#include <rocksdb/db.h>
#include <rocksdb/sst_file_reader.h>

#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "index/storage/files.h"
#include "index/storage/rocks.h"
#include "index/storage/store_files.h"

namespace bebr {

absl::Status CheckTable(const std::string& directory, const std::string& name) {
  const std::string path = absl::StrFormat("%s/%s", directory, name);
  rocksdb::SstFileReader reader{rocksdb::Options()};
  rocksdb::Status status = reader.Open(path);
  if (status.ok()) status = reader.VerifyChecksum();
  if (status.ok()) return absl::OkStatus();
  if (status.IsIOError() && !status.IsPathNotFound()) return FromRocksDb(status, directory);
  return absl::DataLossError(absl::StrFormat("%s is damaged: %s", path, status.ToString()));
}

std::vector<absl::Status> CheckTables(const std::string& directory) {
  const auto names = ListFiles(directory);
  if (!names.ok()) return {names.status()};
  std::vector<absl::Status> damages;
  for (const std::string& name : *names) {
    if (!name.ends_with(".sst")) continue;
    if (absl::Status status = CheckTable(directory, name); !status.ok()) damages.push_back(std::move(status));
  }
  return damages;
}

std::vector<absl::Status> VerifyStore(const std::string& directory) {
  if (const absl::Status status = CheckStoreFiles(directory, /*repair=*/false).status(); !status.ok()) return {status};
  if (std::vector<absl::Status> damages = CheckTables(directory); !damages.empty()) return damages;
  // What is there is whole. RocksDB knows what should be there.
  rocksdb::DBOptions options;
  options.info_log = std::make_shared<RocksLog>(directory);
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const char* name : kColumnFamilyNames) descriptors.emplace_back(name, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, directory, descriptors, &families, &raw);
  const std::unique_ptr<rocksdb::DB> db(raw);
  for (rocksdb::ColumnFamilyHandle* family : families) db->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  if (status.ok()) return {};
  return {absl::DataLossError(absl::StrReplaceAll(FromRocksDb(status, directory).message(), {{".ldb", ".sst"}}))};
}

}  // namespace bebr
