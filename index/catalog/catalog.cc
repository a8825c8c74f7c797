#include "index/catalog/catalog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

// In a collection's directory, between its name and what tells it from others of the name; in no name.
constexpr std::string_view kNumberMark = "+";

}  // namespace

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(const std::string& data_dir) {
  std::unique_ptr<Catalog> catalog(new Catalog(data_dir));
  BEBR_RETURN_IF_ERROR(CreateDirectories(catalog->root_));
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectories(catalog->root_));
  for (const std::string& name : names) {
    if (!name.starts_with('.')) continue;
    LogInfo("removing what an interrupted operation left: {}", name);
    BEBR_RETURN_IF_ERROR(RemoveAll(absl::StrCat(catalog->root_, "/", name)));
  }
  return catalog;
}

std::string Catalog::CollectionPath(std::string_view name) const {
  MutexLock lock(&mutex_);
  const auto found = directories_.find(name);
  return absl::StrFormat("%s/%s", root_, found == directories_.end() ? name : std::string_view(found->second));
}

absl::StatusOr<std::string> Catalog::NewDirectory(const std::string& name) {
  MutexLock lock(&mutex_);
  std::string directory = name;
  for (int n = 2;; ++n) {
    BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(absl::StrCat(root_, "/", directory)));
    if (!there && !used_.contains(directory)) break;
    directory = absl::StrFormat("%s%s%d", name, kNumberMark, n);
  }
  used_.insert(directory);
  return directory;
}

absl::StatusOr<std::vector<std::string>> Catalog::Names() {
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> entries, ListDirectories(root_));
  std::vector<std::string> names;
  MutexLock lock(&mutex_);
  for (const std::string& entry : entries) {
    const std::string path = absl::StrCat(root_, "/", entry);
    const auto directories = ListDirectories(path);
    const auto files = ListFiles(path);
    const bool empty = directories.ok() && files.ok() && directories->empty() && files->empty();
    const size_t mark = std::min(entry.find(kNumberMark), entry.size());
    const std::string name = entry.substr(0, mark);
    uint32_t number = 0;
    const bool numbered = mark == entry.size() || absl::SimpleAtoi(entry.substr(mark + 1), &number);
    const auto known = directories_.find(name);
    const bool second = known != directories_.end() && known->second != entry;
    if (empty || !numbered || !ValidateName("name", name).ok() || second) {
      LogWarning("{} is no collection, or a second one of the name, and is passed over", path);
      continue;
    }
    directories_[name] = entry;
    used_.insert(entry);
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<CollectionManifest> Catalog::Load(std::string_view name) const {
  const std::string path = CollectionPath(name);
  BEBR_ASSIGN_OR_RETURN(CollectionManifest manifest, ReadManifest(path));
  if (manifest.name == name) return manifest;
  return absl::DataLossError(
      absl::StrFormat("%s/manifest.json is the manifest of collection \"%s\"", path, manifest.name));
}

absl::Status Catalog::Build(const std::string& name, const Fill& fill) {
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(CollectionPath(name)));
  if (there) {
    return absl::AlreadyExistsError(absl::StrFormat("%s is there already", CollectionPath(name)));
  }
  BEBR_ASSIGN_OR_RETURN(const std::string directory, NewDirectory(name));
  const std::string building = absl::StrCat(root_, "/.creating-", directory);
  BEBR_RETURN_IF_ERROR(RemoveAll(building));
  absl::Status status = fill(building);
  if (status.ok()) status = RenameDirectory(building, absl::StrCat(root_, "/", directory));
  if (!status.ok()) {
    RemoveAll(building).IgnoreError();  // the first error is the one that counts
    return status;
  }
  MutexLock lock(&mutex_);
  directories_[name] = directory;
  return status;
}

absl::Status Catalog::Create(const CollectionManifest& manifest, std::string_view model_file, const Fill& fill) {
  return Build(manifest.name, [&](const std::string& building) -> absl::Status {
    BEBR_RETURN_IF_ERROR(CreateDirectories(absl::StrCat(building, "/models"), /*synced=*/false));
    BEBR_RETURN_IF_ERROR(WriteFileUnsynced(ModelPath(building, manifest.versions.back().number), model_file));
    BEBR_RETURN_IF_ERROR(fill(building));
    BEBR_RETURN_IF_ERROR(WriteManifest(building, manifest, /*synced=*/false));
    return SyncTree(building);
  });
}

absl::Status Catalog::Update(const CollectionManifest& before, const CollectionManifest& manifest,
                             std::string_view model_file) {
  const std::string directory = CollectionPath(manifest.name);
  if (!model_file.empty()) {
    const std::string model_path = ModelPath(directory, manifest.versions.back().number);
    BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(model_path));
    // An addition that failed has left it, and perhaps a manifest that says what is in it.
    if (there) BEBR_RETURN_IF_ERROR(WriteManifest(directory, before));
    BEBR_RETURN_IF_ERROR(WriteFileAtomically(model_path, model_file));
  }
  BEBR_RETURN_IF_ERROR(WriteManifest(directory, manifest));
  for (const Version& version : manifest.versions) {
    if (!version.retired) continue;
    // It is retired all the same; the next change tries again.
    const absl::Status removed = RemoveAll(ModelPath(directory, version.number));
    if (!removed.ok()) LogWarning("the model of a retired version is left: {}", std::string(removed.message()));
  }
  return absl::OkStatus();
}

absl::Status Catalog::Remove(std::string_view name) {
  const std::string path = CollectionPath(name);
  const std::string deleted = absl::StrCat(root_, "/.deleted-", path.substr(path.rfind('/') + 1));
  BEBR_RETURN_IF_ERROR(RemoveAll(deleted));
  BEBR_RETURN_IF_ERROR(RenameDirectory(path, deleted));
  {
    MutexLock lock(&mutex_);
    directories_.erase(std::string(name));
    used_.insert(path.substr(path.rfind('/') + 1));
  }
  const absl::Status removed = RemoveAll(deleted);
  if (!removed.ok()) LogWarning("files of a dropped collection are left: {}", std::string(removed.message()));
  return absl::OkStatus();
}

absl::Status Catalog::Restore(const CollectionManifest& manifest, const std::string& from) {
  return Build(manifest.name, [&](const std::string& building) -> absl::Status {
    BEBR_RETURN_IF_ERROR(CopyDirectory(from, building, ".sst"));
    return WriteManifest(building, manifest);
  });
}

absl::StatusOr<Aliases> Catalog::LoadAliases() {
  BEBR_ASSIGN_OR_RETURN(AliasList list, ReadAliases(data_dir_));
  aliases_generation_ = list.generation;
  return std::move(list.aliases);
}

absl::Status Catalog::SaveAliases(Aliases aliases) {
  return WriteAliases(data_dir_, {std::move(aliases), ++aliases_generation_});
}

}  // namespace bebr
