#include "index/catalog/catalog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/catalog/collection_directory.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

// Removes what is in a directory, as far as the disk lets it.
void Empty(const std::string& directory) {
  for (const auto& list : {ListDirectories(directory), ListFiles(directory)}) {
    for (const std::string& name : list.value_or(std::vector<std::string>())) {
      RemoveAll(absl::StrCat(directory, "/", name)).IgnoreError();
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(const std::string& data_dir) {
  std::unique_ptr<Catalog> catalog(new Catalog(data_dir));
  BEBR_RETURN_IF_ERROR(CreateDirectories(catalog->root_));
  {
    MutexLock lock(&catalog->record_mutex_);
    catalog->ReadRecord();
  }
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectories(catalog->root_));
  for (const std::string& name : names) {
    if (!name.starts_with('.') || name.starts_with(kDeleted)) continue;
    LogInfo("removing what an interrupted operation left: {}", name);
    const absl::Status removed = RemoveAll(absl::StrCat(catalog->root_, "/", name));
    if (!removed.ok()) LogWarning("it is left: {}", std::string(removed.message()));
  }
  BEBR_RETURN_IF_ERROR(catalog->RemoveAllDropped());
  return catalog;
}

absl::Status Catalog::RemoveAllDropped() {
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectories(root_));
  for (const std::string& name : names) {
    if (!name.starts_with(kDeleted)) continue;
    LogInfo("removing what is left of a dropped collection: {}", name);
    RemoveDropped(CollectionOfDirectory(std::string_view(name).substr(kDeleted.size())),
                  absl::StrCat(root_, "/", name));
  }
  return absl::OkStatus();
}

void Catalog::ReadRecord() {
  absl::StatusOr<CatalogRecord> record = ReadCatalogRecord(data_dir_);
  if (absl::IsDataLoss(record.status())) {
    LogWarning(
        "{}; whether the aliases are an older copy, or a collection is missing, is not known. See that `bebr "
        "collections` and `bebr alias list` show all that they should; the next change of either writes the file anew",
        std::string(record.status().message()));
    record = CatalogRecord();
  }
  record_status_ = record.status();
  if (record.ok()) record_ = *std::move(record);
}

void Catalog::ReadRecordAgain() {
  {
    MutexLock record_lock(&record_mutex_);
    if (record_status_.ok() || absl::IsFailedPrecondition(record_status_)) return;
    ReadRecord();
    if (!record_status_.ok()) return;
  }
  // What was dropped meanwhile is listed still.
  if (const absl::Status removed = RemoveAllDropped(); !removed.ok()) {
    LogWarning("files of dropped collections are left: {}", std::string(removed.message()));
  }
  MutexLock record_lock(&record_mutex_);
  MutexLock lock(&mutex_);
  NoteMissing();
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
  MutexLock record_lock(&record_mutex_);
  MutexLock lock(&mutex_);
  for (const std::string& entry : entries) {
    const std::string name = CollectionAt(root_, entry);
    const auto known = directories_.find(name);
    const bool second = known != directories_.end() && known->second != entry;
    if (name.empty() || second) {
      LogWarning("{}/{} is no collection, or a second one of the name, and is passed over", root_, entry);
      continue;
    }
    directories_[name] = entry;
    used_.insert(entry);
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  missing_.clear();
  NoteMissing();
  return names;
}

void Catalog::NoteMissing() {
  const auto before = record_.collections.value_or(std::set<std::string, std::less<>>());
  for (const std::string& name : before) {
    if (!directories_.contains(name)) missing_.try_emplace(name);
  }
  record_.collections = before;
  for (const auto& [name, directory] : directories_) record_.collections->insert(name);
  if (*record_.collections == before) return;
  // Without it a collection that goes missing is not noticed; the next change tries again.
  const absl::Status saved = SaveRecord();
  if (!saved.ok()) LogWarning("which collections there are is not noted: {}", saved.ToString());
}

std::vector<std::string> Catalog::Missing() const {
  MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, found] : missing_) names.push_back(name);
  return names;
}

bool Catalog::IsMissing(std::string_view name) const {
  MutexLock lock(&mutex_);
  return missing_.contains(name);
}

absl::Status Catalog::SaveRecord() {
  BEBR_RETURN_IF_ERROR(record_status_);
  BEBR_RETURN_IF_ERROR(WriteCatalogRecord(data_dir_, record_));
  unsaved_ = false;
  return absl::OkStatus();
}

absl::Status Catalog::List(const std::string& name, const std::string& identity) {
  MutexLock lock(&record_mutex_);
  if (!record_.collections.has_value()) record_.collections.emplace();
  record_.collections->insert(name);
  record_.identities.erase(name);
  if (!identity.empty()) record_.identities[name] = identity;
  return SaveRecord();
}

absl::Status Catalog::Unlist(std::string_view name) {
  MutexLock lock(&record_mutex_);
  if (!record_.collections.has_value()) record_.collections.emplace();
  const bool was_listed = record_.collections->erase(std::string(name)) > 0;
  record_.identities.erase(std::string(name));  // for good: what has the name from now on is another one
  absl::Status saved = SaveRecord();
  // Else the next change would drop what was not dropped.
  if (!saved.ok() && was_listed) record_.collections->emplace(name);
  return saved;
}

void Catalog::NoteIdentity(const CollectionManifest& manifest) {
  MutexLock lock(&record_mutex_);
  const std::string identity = IdentityOf(manifest);
  const bool listed = record_.collections.has_value() && record_.collections->contains(manifest.name);
  if (!identity.empty() && listed) unsaved_ = record_.identities.emplace(manifest.name, identity).second || unsaved_;
}

void Catalog::SaveIdentities() {
  MutexLock lock(&record_mutex_);
  if (!unsaved_) return;
  // Without it another collection in the place of one is not noticed; the next change of the file tries again.
  const absl::Status saved = SaveRecord();
  if (!saved.ok()) LogWarning("which collection is which is not noted: {}", saved.ToString());
}

absl::StatusOr<CollectionManifest> Catalog::Load(std::string_view name) {
  if (!IsMissing(name)) {
    const std::string directory = CollectionPath(name);
    BEBR_ASSIGN_OR_RETURN(CollectionManifest found, LoadAt(directory, name));
    absl::Status own = CheckKnown(directory, found);
    if (own.ok()) return found;
    Returning other{LooksOf(directory).value_or(""), own};
    MutexLock lock(&mutex_);
    missing_.emplace(name, std::move(other));  // until its own directory is back
    return own;
  }
  BEBR_ASSIGN_OR_RETURN(const std::string path, FindAgain(name));
  absl::StatusOr<CollectionManifest> manifest = LoadAt(path, name);
  if (manifest.ok()) {
    absl::Status whole = CheckKnown(path, *manifest);
    if (whole.ok()) whole = CheckReturned(path, *manifest);
    if (!whole.ok()) manifest = whole;
  }
  if (!manifest.ok()) NoteOpened(name, manifest.status());
  return manifest;
}

absl::StatusOr<CollectionManifest> Catalog::LoadAt(const std::string& path, std::string_view name) const {
  BEBR_ASSIGN_OR_RETURN(CollectionManifest manifest, ReadManifest(path));
  if (manifest.name == name) return manifest;
  return WrongManifest(path, manifest.name);
}

absl::Status Catalog::CheckKnown(const std::string& path, const CollectionManifest& manifest) {
  MutexLock lock(&record_mutex_);
  // It gets another one when it is opened.
  if (IdentityOf(manifest).empty()) record_.identities.erase(manifest.name);
  return CheckIdentity(path, manifest, record_);
}

absl::StatusOr<std::string> Catalog::FindAgain(std::string_view name) {
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> entries, ListDirectories(root_));
  for (const std::string& entry : entries) {
    if (CollectionAt(root_, entry) != name) continue;
    std::string path = absl::StrCat(root_, "/", entry);
    BEBR_ASSIGN_OR_RETURN(std::string looks, LooksOf(path));
    MutexLock lock(&mutex_);
    const auto found = missing_.find(name);
    if (found == missing_.end()) return path;
    directories_[std::string(name)] = entry;
    used_.insert(entry);
    if (found->second.looks != looks) {
      found->second = {std::move(looks), absl::OkStatus()};
      return ReturningCollection(path);
    }
    BEBR_RETURN_IF_ERROR(found->second.refused);
    return path;
  }
  MutexLock lock(&mutex_);
  if (const auto found = missing_.find(name); found != missing_.end()) found->second = {};
  const auto known = directories_.find(name);
  return MissingCollection(
      absl::StrFormat("%s/%s", root_, known == directories_.end() ? name : std::string_view(known->second)));
}

void Catalog::NoteOpened(std::string_view name, const absl::Status& status) {
  MutexLock lock(&mutex_);
  const auto found = missing_.find(name);
  if (found == missing_.end()) return;
  if (status.ok()) {
    missing_.erase(found);
  } else if (absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) {
    found->second.refused = status;
  }
}

absl::Status Catalog::Build(const CollectionManifest& manifest, const Fill& fill) {
  const std::string& name = manifest.name;
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
  {
    MutexLock lock(&mutex_);
    directories_[name] = directory;
  }
  // Last, so that a crash makes no missing collection of it. A start lists what it finds.
  const absl::Status listed = List(name, IdentityOf(manifest));
  if (!listed.ok()) LogWarning("that there is a collection {} is not noted: {}", name, listed.ToString());
  return status;
}

absl::Status Catalog::Create(const CollectionManifest& manifest, std::string_view model_file, const Fill& fill) {
  return Build(manifest, [&](const std::string& building) -> absl::Status {
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
  const std::string path = CollectionPath(name), directory = path.substr(path.rfind('/') + 1);
  const std::string deleted = absl::StrFormat("%s/%s%s", root_, kDeleted, directory);
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
  if (there) {
    BEBR_RETURN_IF_ERROR(RemoveAll(deleted));
    BEBR_RETURN_IF_ERROR(RenameDirectory(path, deleted));
  } else {
    BEBR_RETURN_IF_ERROR(Unlist(name));
  }
  {
    MutexLock lock(&mutex_);
    directories_.erase(std::string(name));
    used_.insert(directory);
    missing_.erase(std::string(name));
  }
  if (there) RemoveDropped(name, deleted);
  return absl::OkStatus();
}

void Catalog::RemoveDropped(std::string_view name, const std::string& directory) {
  // While it is there the next start knows that nothing is missing; so it stays until the list is written. On a full
  // disk what is in it makes room for that.
  absl::Status status = Unlist(name);
  if (!status.ok()) {
    Empty(directory);
    status = Unlist(name);
  }
  if (status.ok()) status = RemoveAll(directory);
  if (!status.ok()) LogWarning("files of a dropped collection are left: {}", std::string(status.message()));
}

absl::Status Catalog::Restore(const CollectionManifest& manifest, const std::string& from, const Fill& change) {
  return Build(manifest, [&](const std::string& building) -> absl::Status {
    BEBR_RETURN_IF_ERROR(CopyDirectory(from, building, ".sst"));
    BEBR_RETURN_IF_ERROR(change(building));
    return WriteManifest(building, manifest);
  });
}

absl::StatusOr<Aliases> Catalog::LoadAliases() {
  MutexLock lock(&record_mutex_);
  BEBR_RETURN_IF_ERROR(record_status_);
  BEBR_ASSIGN_OR_RETURN(AliasList list, ReadAliases(data_dir_, record_.aliases_generation));
  NoteAliases(list.generation);
  return std::move(list.aliases);
}

absl::Status Catalog::SaveAliases(Aliases aliases) {
  MutexLock lock(&record_mutex_);
  const uint64_t generation = record_.aliases_generation + 1;
  BEBR_RETURN_IF_ERROR(WriteAliases(data_dir_, {std::move(aliases), generation}));
  NoteAliases(generation);
  return absl::OkStatus();
}

void Catalog::NoteAliases(uint64_t generation) {
  if (generation == record_.aliases_generation) return;
  record_.aliases_generation = generation;
  // They are newer than it says, then, which is no damage; the next change tries again.
  const absl::Status noted = SaveRecord();
  if (!noted.ok()) LogWarning("how often the aliases were changed is not noted: {}", noted.ToString());
}

}  // namespace bebr
