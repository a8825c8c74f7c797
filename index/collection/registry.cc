#include "index/collection/registry.h"

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

absl::Status Dropped(std::string_view name) {
  return absl::NotFoundError(absl::StrFormat("collection \"%s\" has just been dropped", name));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Registry>> Registry::Open(const std::string& data_dir, EngineShared* shared) {
  BEBR_ASSIGN_OR_RETURN(auto catalog, Catalog::Open(data_dir));
  return std::unique_ptr<Registry>(new Registry(std::move(catalog), shared));
}

absl::Status Registry::Load() {
  BEBR_ASSIGN_OR_RETURN(std::vector<CollectionManifest> manifests, catalog_->Load());
  for (CollectionManifest& manifest : manifests) BEBR_RETURN_IF_ERROR(OpenCollection(std::move(manifest)));
  BEBR_ASSIGN_OR_RETURN(Aliases aliases, catalog_->LoadAliases());
  MutexLock lock(&mutex_);
  // A collection and then its alias are dropped in two steps: the second may be missing.
  for (auto alias = aliases.begin(); alias != aliases.end();) {
    alias = collections_.contains(alias->second) ? std::next(alias) : aliases.erase(alias);
  }
  aliases_ = std::move(aliases);
  return absl::OkStatus();
}

absl::Status Registry::OpenCollection(CollectionManifest manifest) {
  const SteadyTime start = SteadyNow();
  const std::string name = manifest.name;
  BEBR_ASSIGN_OR_RETURN(auto collection,
                        Collection::Open(std::move(manifest), catalog_->CollectionPath(name), shared_));
  LogInfo("collection {}: {} documents in {} shards, opened in {} ms", name, collection->documents(),
          collection->shards().size(), absl::ToInt64Milliseconds(SteadyNow() - start));
  MutexLock lock(&mutex_);
  collections_.emplace(name, std::move(collection));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Collection>> Registry::Find(std::string_view name) const {
  MutexLock lock(&mutex_);
  const auto alias = aliases_.find(name);
  const auto it = collections_.find(alias == aliases_.end() ? name : std::string_view(alias->second));
  if (it != collections_.end()) return it->second;
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

bool Registry::IsOpen(const std::shared_ptr<Collection>& collection) const {
  MutexLock lock(&mutex_);
  const auto it = collections_.find(collection->manifest()->name);
  return it != collections_.end() && it->second == collection;
}

absl::Status Registry::CheckNameIsFree(std::string_view name) const {
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
  BEBR_RETURN_IF_ERROR(catalog_->Create(manifest, model_file));
  return OpenCollection(std::move(manifest));
}

absl::Status Registry::Restore(CollectionManifest manifest, const std::string& from) {
  BEBR_RETURN_IF_ERROR(Reserve(manifest.name));
  const absl::Cleanup release = [this, name = manifest.name] { Release(name); };
  BEBR_RETURN_IF_ERROR(catalog_->Restore(manifest, from));
  return OpenCollection(std::move(manifest));
}

absl::Status Registry::Drop(std::string_view name, absl::FunctionRef<void()> detached) {
  {
    BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
    MutexLock change_lock(&collection->change_mutex());
    MutexLock aliases_lock(&aliases_mutex_);
    MutexLock lock(&mutex_);
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
    const auto it = collections_.find(name);
    if (it == collections_.end() || it->second != collection) {
      return Dropped(name);
    }
    collections_.erase(it);
    reserved_.emplace(name);
  }
  const absl::Cleanup release = [this, name] { Release(name); };
  detached();
  // Searches and writes in flight hold the open files; their space is returned when they end.
  return catalog_->Remove(name);
}

absl::Status Registry::Hold(std::string_view name, absl::FunctionRef<absl::Status(const Collection&)> body) {
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  MutexLock lock(&collection->change_mutex());
  if (!IsOpen(collection)) return Dropped(name);
  return body(*collection);
}

absl::Status Registry::Change(std::string_view name, Edit edit, std::string_view model_file) {
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  MutexLock lock(&collection->change_mutex());
  if (!IsOpen(collection)) return Dropped(name);
  CollectionManifest manifest = *collection->manifest();
  BEBR_RETURN_IF_ERROR(edit(*collection, manifest));
  BEBR_RETURN_IF_ERROR(catalog_->Update(manifest, model_file));
  collection->ReplaceManifest(std::move(manifest));
  return absl::OkStatus();
}

absl::Status Registry::SaveAliases(Aliases aliases) {
  BEBR_RETURN_IF_ERROR(catalog_->SaveAliases(aliases));
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
    aliases = aliases_;
    if (collections_.contains(alias)) {
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
  aliases[std::string(alias)] = name;
  return SaveAliases(std::move(aliases));
}

absl::Status Registry::DeleteAlias(std::string_view alias) {
  MutexLock lock(&aliases_mutex_);
  Aliases aliases;
  {
    MutexLock inner(&mutex_);
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
