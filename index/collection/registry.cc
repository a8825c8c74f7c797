#include "index/collection/registry.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/logging.h"
#include "index/base/own_error.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

constexpr size_t kCloseThreads = 16;
constexpr absl::Duration kLayoutTime = absl::Seconds(10);  // where nobody says when it is to end
constexpr uint64_t kLayoutShare = 2;  // layout files take one in so many of the disk's free bytes at most

absl::Status Dropped(std::string_view name) {
  return absl::NotFoundError(absl::StrFormat("collection \"%s\" has just been dropped", name));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Registry>> Registry::Open(const std::string& data_dir, EngineShared* shared) {
  BEBR_ASSIGN_OR_RETURN(auto catalog, Catalog::Open(data_dir));
  return std::unique_ptr<Registry>(new Registry(data_dir, std::move(catalog), shared));
}

Registry::~Registry() {
  std::vector<std::shared_ptr<Collection>> open = List();
  {
    MutexLock lock(&mutex_);
    collections_.clear();
  }
  LayoutLimits limits;
  limits.deadline = shared_->end_by.value_or(SteadyNow() + kLayoutTime);
  limits.room_bytes = static_cast<int64_t>(DiskSpaceOf(data_dir_).free_bytes / kLayoutShare);
  // Threads of its own: a collection waits for its last commits, which the shared ones make.
  ThreadPool closers(std::min(open.size(), kCloseThreads));
  closers.ParallelFor(open.size(), [&](size_t i) {
    open[i]->SaveLayout(limits);
    open[i].reset();
  });
}

absl::Status Registry::Load() {
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, catalog_->Names());
  shared_->pool.ParallelFor(names.size(), [&](size_t i) { OpenOrTell(names[i]); });
  LoadAliases();
  catalog_->SaveIdentities();
  return absl::OkStatus();
}

absl::Status Registry::TryOpen(const std::string& name) {
  BEBR_ASSIGN_OR_RETURN(CollectionManifest manifest, catalog_->Load(name));
  absl::Status status = OpenCollection(std::move(manifest));
  catalog_->NoteOpened(name, status);
  return status;
}

void Registry::OpenOrTell(const std::string& name) {
  {
    MutexLock lock(&mutex_);
    if (collections_.contains(name) || unavailable_.contains(name)) return;
  }
  const absl::Status status = TryOpen(name);
  if (status.ok()) return;
  LogError("collection {} is not served: {}", name, std::string(status.message()));
  MutexLock lock(&mutex_);
  unavailable_.emplace(name, status);
}

void Registry::LoadAliases() {
  catalog_->ReadRecordAgain();
  {
    MutexLock one_at_a_time(&unavailable_mutex_);
    for (const std::string& name : catalog_->Missing()) OpenOrTell(name);
  }
  MutexLock one_at_a_time(&aliases_mutex_);
  absl::StatusOr<Aliases> aliases = catalog_->LoadAliases();
  if (!aliases.ok()) LogError("no alias is served: {}", std::string(aliases.status().message()));
  MutexLock lock(&mutex_);
  aliases_status_ = aliases.status();
  if (!aliases.ok()) return;
  // A collection and then its alias are dropped in two steps: the second may be missing.
  for (auto alias = aliases->begin(); alias != aliases->end();) {
    const bool known = collections_.contains(alias->second) || unavailable_.contains(alias->second);
    alias = known ? std::next(alias) : aliases->erase(alias);
  }
  aliases_ = *std::move(aliases);
}

absl::Status Registry::OpenCollection(CollectionManifest manifest) {
  const SteadyTime start = SteadyNow();
  const std::string name = manifest.name;
  BEBR_ASSIGN_OR_RETURN(auto collection,
                        Collection::Open(std::move(manifest), catalog_->CollectionPath(name), shared_));
  LogInfo("collection {}: {} documents in {} shards, opened in {} ms", name, collection->documents(),
          collection->shards()->size(), absl::ToInt64Milliseconds(SteadyNow() - start));
  catalog_->NoteIdentity(*collection->manifest());
  MutexLock lock(&mutex_);
  collections_.emplace(name, std::move(collection));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Collection>> Registry::Find(std::string_view name) const {
  MutexLock lock(&mutex_);
  const auto alias = aliases_.find(name);
  const std::string_view named = alias == aliases_.end() ? name : std::string_view(alias->second);
  if (const auto it = collections_.find(named); it != collections_.end()) return it->second;
  if (const auto it = unavailable_.find(named); it != unavailable_.end()) {
    return OwnError(absl::Status(
        it->second.code(), absl::StrFormat("collection \"%s\" cannot be opened: %s", named, it->second.message())));
  }
  if (!aliases_status_.ok()) {
    return OwnError(
        absl::UnavailableError(absl::StrFormat("no collection is named \"%s\"; aliases cannot be read: %s",
                                               name.substr(0, kMaxCollectionNameBytes), aliases_status_.message())));
  }
  return absl::NotFoundError(absl::StrFormat("no collection is named \"%s\"", name.substr(0, kMaxCollectionNameBytes)));
}

std::string Registry::Resolve(std::string_view name) const {
  MutexLock lock(&mutex_);
  const auto alias = aliases_.find(name);
  return alias == aliases_.end() ? std::string(name) : alias->second;
}

std::vector<std::shared_ptr<Collection>> Registry::List() const {
  MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Collection>> list;
  for (const auto& [name, collection] : collections_) list.push_back(collection);
  return list;
}

std::vector<UnavailableCollection> Registry::Unavailable() const {
  MutexLock lock(&mutex_);
  std::vector<UnavailableCollection> list;
  for (const auto& [name, status] : unavailable_) list.push_back({name, std::string(status.message())});
  return list;
}

bool Registry::IsOpen(const std::shared_ptr<Collection>& collection) const {
  MutexLock lock(&mutex_);
  const auto it = collections_.find(collection->manifest()->name);
  return it != collections_.end() && it->second == collection;
}

absl::Status Registry::CheckNameIsFree(std::string_view name) const {
  if (unavailable_.contains(name)) {
    return absl::AlreadyExistsError(absl::StrFormat(
        "a collection is named \"%s\" already, which cannot be opened; take another name, or drop that first", name));
  }
  if (collections_.contains(name) || reserved_.contains(name)) {
    return absl::AlreadyExistsError(absl::StrFormat("a collection is named \"%s\" already", name));
  }
  if (const auto alias = aliases_.find(name); alias != aliases_.end()) {
    return absl::AlreadyExistsError(
        absl::StrFormat("\"%s\" is an alias of collection \"%s\" already", name, alias->second));
  }
  return absl::OkStatus();
}

absl::Status Registry::Reserve(std::string_view name) {
  MutexLock lock(&mutex_);
  BEBR_RETURN_IF_ERROR(CheckNameIsFree(name));
  reserved_.emplace(name);
  return absl::OkStatus();
}

void Registry::Release(std::string_view name) {
  MutexLock lock(&mutex_);
  reserved_.erase(reserved_.find(name));
}

absl::Status Registry::Create(CollectionManifest manifest, std::string_view model_file) {
  BEBR_RETURN_IF_ERROR(Reserve(manifest.name));
  const absl::Cleanup release = [this, name = manifest.name] { Release(name); };
  manifest.mark = StoreMark{.identity = NewIdentity(manifest.name)};
  const auto make_store = [&](const std::string& directory) {
    return CollectionStore::Build(StorePath(directory), manifest.shards, shared_->cache, manifest.mark->identity);
  };
  BEBR_RETURN_IF_ERROR(OwnError(catalog_->Create(manifest, model_file, make_store)));
  return OwnError(OpenMade(std::move(manifest)));
}

absl::Status Registry::Restore(CollectionManifest manifest, const std::string& from) {
  BEBR_RETURN_IF_ERROR(Reserve(manifest.name));
  const absl::Cleanup release = [this, name = manifest.name] { Release(name); };
  // It is another collection than the one of which the snapshot is.
  const std::string identity = NewIdentity(manifest.name);
  if (manifest.mark.has_value()) manifest.mark->identity = identity;
  const auto mark_store = [&](const std::string& directory) -> absl::Status {
    if (manifest.format == 1) return absl::OkStatus();  // its store is made, and gets one, when it is opened
    BEBR_ASSIGN_OR_RETURN(const auto store,
                          CollectionStore::Open(StorePath(directory), manifest.shards, shared_->cache));
    return store->SetIdentity(identity);
  };
  BEBR_RETURN_IF_ERROR(catalog_->Restore(manifest, from, mark_store));
  return OpenMade(std::move(manifest));
}

absl::Status Registry::OpenMade(CollectionManifest manifest) {
  const std::string name = manifest.name;
  const absl::Status status = OpenCollection(std::move(manifest));
  if (status.ok()) return status;
  absl::Status removed = catalog_->Remove(name);
  if (removed.ok()) return status;
  LogError("what was made of collection {} is left: {}", name, std::string(removed.message()));
  MutexLock lock(&mutex_);
  unavailable_[name] = status;
  return status;
}

void Registry::RetryUnavailable() {
  const auto may_pass = [](const absl::Status& status) {
    return !status.ok() && !absl::IsDataLoss(status) && !absl::IsFailedPrecondition(status);
  };
  // Each once: a missing one is opened when it is twice seen the same, some time apart.
  const std::vector<std::string> missing = catalog_->Missing();
  std::set<std::string> names(missing.begin(), missing.end());
  bool aliases = false;
  {
    MutexLock lock(&mutex_);
    for (const auto& [name, status] : unavailable_) {
      if (may_pass(status)) names.insert(name);
    }
    aliases = may_pass(aliases_status_);
  }
  if (aliases) LoadAliases();
  for (const std::string& name : names) {
    MutexLock one_at_a_time(&unavailable_mutex_);
    {
      MutexLock lock(&mutex_);
      if (!unavailable_.contains(name)) continue;  // dropped meanwhile
    }
    const absl::Status status = TryOpen(name);
    MutexLock lock(&mutex_);
    if (status.ok()) {
      unavailable_.erase(name);
    } else {
      unavailable_[name] = status;
    }
  }
}

absl::Status Registry::DropUnavailable(std::string_view name) {
  MutexLock one_at_a_time(&unavailable_mutex_);
  MutexLock aliases_lock(&aliases_mutex_);
  {
    MutexLock lock(&mutex_);
    if (!unavailable_.contains(name)) return absl::NotFoundError("it is not unavailable");
    BEBR_RETURN_IF_ERROR(CheckNotAliased(name));
  }
  BEBR_RETURN_IF_ERROR(OwnError(catalog_->Remove(name)));
  MutexLock lock(&mutex_);
  unavailable_.erase(unavailable_.find(name));
  return absl::OkStatus();
}

absl::Status Registry::CheckNotAliased(std::string_view name) const {
  if (const auto alias = aliases_.find(name); alias != aliases_.end()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("\"%s\" is an alias of collection \"%s\"; delete the alias, or name the collection itself",
                        name, alias->second));
  }
  for (const auto& [alias, target] : aliases_) {
    if (target != name) continue;
    return absl::FailedPreconditionError(
        absl::StrFormat("alias \"%s\" names collection \"%s\"; switch or delete the alias first", alias, name));
  }
  return absl::OkStatus();
}

absl::Status Registry::Drop(std::string_view name, absl::FunctionRef<void()> detached) {
  if (const absl::Status status = DropUnavailable(name); !absl::IsNotFound(status)) return status;
  std::shared_ptr<Collection> dropped;
  {
    BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
    MutexLock change_lock(&collection->change_mutex());
    MutexLock aliases_lock(&aliases_mutex_);
    MutexLock lock(&mutex_);
    BEBR_RETURN_IF_ERROR(CheckNotAliased(name));
    const auto it = collections_.find(name);
    if (it == collections_.end() || it->second != collection) return Dropped(name);
    collections_.erase(it);
    dropped = collection;
    reserved_.emplace(name);
  }
  const absl::Cleanup release = [this, name] { Release(name); };
  dropped->shards()->store().EndCompactions();  // who is at one would be waited for
  detached();
  dropped->ForgetViews(/*dropped=*/true);
  dropped.reset();
  // Searches and writes in flight hold the open files; their space is returned when they end.
  absl::Status removed = catalog_->Remove(name);
  if (removed.ok()) return removed;
  MutexLock lock(&mutex_);
  unavailable_[std::string(name)] = removed;
  return OwnError(removed);
}

absl::Status Registry::Hold(std::string_view name, absl::FunctionRef<absl::Status(const Collection&)> body) {
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  MutexLock lock(&collection->change_mutex());
  if (!IsOpen(collection)) return Dropped(name);
  return body(*collection);
}

absl::Status Registry::Change(std::string_view name, Edit edit, std::string_view model_file,
                              absl::FunctionRef<void()> changed) {
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  MutexLock lock(&collection->change_mutex());
  if (!IsOpen(collection)) return Dropped(name);
  CollectionManifest manifest = *collection->manifest();
  BEBR_RETURN_IF_ERROR(edit(*collection, manifest));
  BEBR_RETURN_IF_ERROR(OwnError(collection->NoteGeneration()));
  const CollectionStore& store = collection->shards()->store();
  manifest.mark = store.mark();
  ++manifest.mark->generation;
  BEBR_RETURN_IF_ERROR(OwnError(catalog_->Update(*collection->manifest(), manifest, model_file)));
  collection->ReplaceManifest(std::move(manifest));
  // The manifest may be one ahead of the store, as after a crash; the next change tries again first.
  const absl::Status noted = collection->NoteGeneration();
  if (!noted.ok()) LogWarning("the store of collection {} is not told of its manifest: {}", name, noted.ToString());
  changed();
  return absl::OkStatus();
}

absl::Status Registry::SaveAliases(Aliases aliases) {
  BEBR_RETURN_IF_ERROR(OwnError(catalog_->SaveAliases(aliases)));
  MutexLock lock(&mutex_);
  aliases_ = std::move(aliases);
  return absl::OkStatus();
}

absl::Status Registry::SetAlias(std::string_view alias, std::string_view name,
                                std::optional<std::string_view> expected) {
  BEBR_RETURN_IF_ERROR(ValidateName("alias", alias));
  MutexLock lock(&aliases_mutex_);
  Aliases aliases;
  {
    MutexLock inner(&mutex_);
    BEBR_RETURN_IF_ERROR(OwnError(aliases_status_));
    aliases = aliases_;
    if (collections_.contains(alias) || unavailable_.contains(alias)) {
      return absl::AlreadyExistsError(absl::StrFormat("a collection is named \"%s\" already", alias));
    }
    if (!collections_.contains(name)) {
      return absl::NotFoundError(
          absl::StrFormat("no collection is named \"%s\"; an alias names a collection, not another alias",
                          name.substr(0, kMaxCollectionNameBytes)));
    }
  }
  const auto current = aliases.find(alias);
  const std::string_view named = current == aliases.end() ? std::string_view() : current->second;
  if (expected.has_value() && *expected != named) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "alias \"%s\" names \"%s\", not \"%s\" (\"\" means that there is none): somebody has changed it meanwhile",
        alias, named, expected->substr(0, kMaxCollectionNameBytes)));
  }
  if (current == aliases.end() && aliases.size() >= kMaxAliases) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("there are %d aliases and the limit is %d; delete one first", aliases.size(), kMaxAliases));
  }
  aliases[std::string(alias)] = name;
  return SaveAliases(std::move(aliases));
}

absl::Status Registry::DeleteAlias(std::string_view alias) {
  MutexLock lock(&aliases_mutex_);
  Aliases aliases;
  {
    MutexLock inner(&mutex_);
    BEBR_RETURN_IF_ERROR(OwnError(aliases_status_));
    aliases = aliases_;
  }
  const auto found = aliases.find(alias);
  if (found == aliases.end()) {
    return absl::NotFoundError(absl::StrFormat("no alias is named \"%s\"", alias.substr(0, kMaxCollectionNameBytes)));
  }
  aliases.erase(found);
  return SaveAliases(std::move(aliases));
}

std::vector<Alias> Registry::ListAliases() const {
  MutexLock lock(&mutex_);
  std::vector<Alias> aliases;
  for (const auto& [alias, collection] : aliases_) aliases.push_back({alias, collection});
  return aliases;
}

}  // namespace bebr
