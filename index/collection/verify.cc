#include "index/collection/verify.h"

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/catalog/catalog.h"
#include "index/catalog/collection_directory.h"
#include "index/catalog/snapshots.h"
#include "index/storage/collection_store.h"
#include "index/storage/damaged_store.h"
#include "index/storage/files.h"
#include "index/storage/table_check.h"

namespace bebr {
namespace {

// Whether a manifest and its store, which are whole, belong together.
absl::Status VerifyMark(const std::string& directory, const CollectionManifest& manifest) {
  if (!manifest.mark.has_value() || manifest.format == 1) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(const auto store, DamagedStore::Open(StorePath(directory)));
  return CheckMark(StorePath(directory), *manifest.mark, store->mark());
}

// The manifest, models and stores in a directory of a collection, or of a snapshot, which has the name that it had.
void VerifyCollection(const std::string& directory, std::string_view name, const CatalogRecord& record,
                      VerifyReport report) {
  const absl::StatusOr<CollectionManifest> manifest = ReadManifest(directory);
  if (!manifest.ok()) return report(directory, manifest.status());
  if (!name.empty() && manifest->name != name) return report(directory, WrongManifest(directory, manifest->name));
  if (const absl::Status own = CheckIdentity(directory, *manifest, record); !own.ok()) return report(directory, own);
  std::vector<std::string> stores = {StorePath(directory)};
  if (manifest->format == 1) {
    stores.clear();
    for (uint32_t s = 0; s < manifest->shards; ++s) stores.push_back(absl::StrFormat("%s/shard-%03d", directory, s));
  }
  bool whole = true;
  for (const std::string& store : stores) {
    for (const absl::Status& damage : VerifyStore(store)) {
      whole = false;
      report(directory, damage);
    }
  }
  if (whole) report(directory, VerifyMark(directory, *manifest));
}

void VerifySnapshot(const std::string& directory, VerifyReport report) {
  if (const absl::Status status = Snapshots::Verify(directory); !status.ok()) return report(directory, status);
  VerifyCollection(directory, "", CatalogRecord(), report);
}

// Calls visit(path) for the directories in one that are somebody's and no leftovers.
absl::Status ForEachDirectory(const std::string& directory, absl::FunctionRef<absl::Status(const std::string&)> visit) {
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(directory));
  if (!there) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectories(directory));
  for (const std::string& name : names) {
    if (!name.starts_with('.') && name != "lost+found") {
      BEBR_RETURN_IF_ERROR(visit(absl::StrCat(directory, "/", name)));
    }
  }
  return absl::OkStatus();
}

// Takes those out of the list whose drop was interrupted: the next start finishes it.
absl::Status PassOverDropped(const std::string& collections, CatalogRecord& record) {
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(collections));
  if (!there) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectories(collections));
  for (std::string_view name : names) {
    if (!name.starts_with(kDeleted)) continue;
    name.remove_prefix(kDeleted.size());
    record.collections->erase(std::string(CollectionOfDirectory(name)));
    record.identities.erase(std::string(CollectionOfDirectory(name)));
  }
  return absl::OkStatus();
}

// A directory that is not there is more likely a slip than without damage.
absl::Status MustExist(const char* option, const std::string& directory) {
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(directory));
  if (there) return absl::OkStatus();
  return absl::NotFoundError(absl::StrFormat("%s \"%s\" does not exist: nothing was verified", option, directory));
}

}  // namespace

absl::Status VerifyData(const std::string& data_dir, const std::string& snapshot_dir, VerifyReport report) {
  std::unique_ptr<DirectoryLock> lock;
  BEBR_RETURN_IF_ERROR(MustExist("data_dir", data_dir));
  if (!snapshot_dir.empty()) BEBR_RETURN_IF_ERROR(MustExist("snapshot_dir", snapshot_dir));
  BEBR_ASSIGN_OR_RETURN(lock, DirectoryLock::Acquire(data_dir));
  const absl::StatusOr<CatalogRecord> record = ReadCatalogRecord(data_dir);
  CatalogRecord known = record.value_or(CatalogRecord());
  const absl::Status aliases = ReadAliases(data_dir, known.aliases_generation).status();
  for (const absl::Status& status : {record.status(), aliases}) {
    if (!status.ok()) report(data_dir, status);
  }
  const std::string collections = data_dir + "/collections";
  if (!known.collections.has_value()) known.collections.emplace();
  BEBR_RETURN_IF_ERROR(PassOverDropped(collections, known));
  auto missing = *known.collections;
  BEBR_RETURN_IF_ERROR(ForEachDirectory(collections, [&](const std::string& path) {
    const std::string entry = path.substr(path.rfind('/') + 1);
    const std::string name = CollectionAt(collections, entry);
    missing.erase(name);
    VerifyCollection(path, name.empty() ? CollectionOfDirectory(entry) : name, known, report);
    return absl::OkStatus();
  }));
  for (const std::string& name : missing) {
    const std::string path = absl::StrCat(data_dir, "/collections/", name);
    report(path, MissingCollection(path));
  }
  const std::string snapshots = snapshot_dir.empty() ? data_dir + "/snapshots" : snapshot_dir;
  return ForEachDirectory(snapshots, [&](const std::string& collection) {
    return ForEachDirectory(collection, [&](const std::string& path) {
      VerifySnapshot(path, report);
      return absl::OkStatus();
    });
  });
}

}  // namespace bebr
