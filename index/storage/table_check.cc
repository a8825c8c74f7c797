#include "index/storage/table_check.h"

#include <rocksdb/db.h>
#include <rocksdb/sst_file_reader.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "index/base/logging.h"
#include "index/storage/files.h"
#include "index/storage/rocks.h"
#include "index/storage/store_files.h"

namespace bebr {
namespace {

// What ails a disk, a cable or memory for a moment should have passed by then.
constexpr absl::Duration kPause = absl::Milliseconds(200);

rocksdb::Status ReadTable(const std::string& path, bool direct) {
  rocksdb::Options options;
  options.use_direct_reads = direct;
  rocksdb::SstFileReader reader(options);
  const rocksdb::Status status = reader.Open(path);
  return status.ok() ? reader.VerifyChecksum() : status;
}

// What the disk has of it, and not what the system remembers; but for file systems that know no such reads.
rocksdb::Status ReadTable(const std::string& path) {
  const rocksdb::Status status = ReadTable(path, /*direct=*/true);
  const bool unknown = absl::StrContains(status.ToString(), std::generic_category().message(EINVAL));
  return unknown ? ReadTable(path, /*direct=*/false) : status;
}

}  // namespace

absl::Status CheckTable(const std::string& directory, const std::string& name) {
  const std::string path = absl::StrFormat("%s/%s", directory, name);
  rocksdb::Status status = ReadTable(path);
  if (!status.ok() && !status.IsPathNotFound()) {
    LogWarning("{} is read again: {}", path, status.ToString());
    absl::SleepFor(kPause);
    status = ReadTable(path);
  }
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

absl::Status WithDamagedFile(const rocksdb::Status& status, const std::string& path) {
  if (!status.IsCorruption()) return FromRocksDb(status, path);
  if (const std::vector<absl::Status> damages = CheckTables(path); !damages.empty()) return damages.front();
  // A table file that it cannot look at it calls damaged, too.
  const std::string text = status.ToString();
  const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
  if (says("IO error") && !says("No such file")) return absl::UnavailableError(FromRocksDb(status, path).message());
  // It tries the name that table files had in its early days last.
  return absl::DataLossError(absl::StrReplaceAll(FromRocksDb(status, path).message(), {{".ldb", ".sst"}}));
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
