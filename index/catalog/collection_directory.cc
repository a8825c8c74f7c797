#include "index/catalog/collection_directory.h"

#include <sys/stat.h>

#include <cstdint>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/storage/collection_store.h"
#include "index/storage/files.h"
#include "index/storage/store_files.h"

namespace bebr {

std::string_view CollectionOfDirectory(std::string_view directory) {
  return directory.substr(0, directory.find(kNumberMark));
}

std::string CollectionAt(const std::string& root, const std::string& entry) {
  const std::string path = absl::StrCat(root, "/", entry);
  const auto directories = ListDirectories(path);
  const auto files = ListFiles(path);
  if (directories.ok() && files.ok() && directories->empty() && files->empty()) return "";
  std::string name(CollectionOfDirectory(entry));
  uint32_t number = 0;
  const bool numbered = name.size() == entry.size() || absl::SimpleAtoi(entry.substr(name.size() + 1), &number);
  return numbered && ValidateName("name", name).ok() ? name : "";
}

absl::StatusOr<std::string> LooksOf(const std::string& directory) {
  std::string looks;
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListFiles(directory));
  for (const std::string& name : files) {
    if (name.starts_with("LOG") || name == "LOCK") continue;  // RocksDB's messages, and its lock
    struct stat file = {};                                    // all zeros: gone meanwhile
    const bool there = lstat(absl::StrCat(directory, "/", name).c_str(), &file) == 0;
    absl::StrAppendFormat(&looks, "%s %d %d %d.%d %d.%d\n", name, there, file.st_size, file.st_mtim.tv_sec,
                          file.st_mtim.tv_nsec, file.st_ctim.tv_sec, file.st_ctim.tv_nsec);
  }
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> directories, ListDirectories(directory));
  for (const std::string& name : directories) {
    BEBR_ASSIGN_OR_RETURN(const std::string inner, LooksOf(absl::StrCat(directory, "/", name)));
    absl::StrAppend(&looks, name, "/\n", inner);
  }
  return looks;
}

absl::Status CheckReturned(const std::string& directory, const CollectionManifest& manifest) {
  if (manifest.format == 1) return absl::OkStatus();  // its stores are of servers that made no list
  const std::string list = StoreFileList::Path(StorePath(directory));
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(list));
  if (there) return CheckStoreFiles(StorePath(directory), /*repair=*/false).status();
  return absl::DataLossError(absl::StrFormat(
      "%s is back without %s: it is served when that is there too, or opened as it is by a restart", directory, list));
}

std::string IdentityOf(const CollectionManifest& manifest) {
  return manifest.mark.has_value() ? manifest.mark->identity : std::string();
}

absl::Status MissingCollection(const std::string& path) {
  return absl::DataLossError(
      absl::StrFormat("%s is missing, though catalog.json lists the collection. Put it back, by one rename, and it is "
                      "served; or drop it",
                      path));
}

absl::Status ReturningCollection(const std::string& path) {
  return absl::DataLossError(absl::StrFormat(
      "%s is back, and is served when all of it is there and nothing in it has changed for about 10 s. If it is being "
      "copied: rather copy it aside and rename it into its place",
      path));
}

absl::Status CheckIdentity(const std::string& path, const CollectionManifest& manifest, const CatalogRecord& record) {
  const auto listed = record.identities.find(manifest.name);
  const std::string identity = IdentityOf(manifest);
  if (listed == record.identities.end() || identity.empty() || identity == listed->second) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrFormat("%s is another collection of that name, with the identity \"%s\"; catalog.json lists \"%s\". Put "
                      "its own back, by "
                      "one rename, and it is served; or, if this one is to be served instead, move it away, drop the "
                      "collection, move it "
                      "back and restart the server",
                      path, identity, listed->second));
}

absl::Status WrongManifest(const std::string& path, std::string_view name) {
  return absl::DataLossError(absl::StrFormat("%s/manifest.json is the manifest of collection \"%s\"", path, name));
}

}  // namespace bebr
