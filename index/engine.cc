#include "index/engine.h"

#include <algorithm>
#include <future>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "index/backfill.h"
#include "index/base/logging.h"
#include "index/base/machine_memory.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "index/catalog/catalog.h"
#include "index/catalog/snapshots.h"
#include "index/collection.h"
#include "index/memory_formula.h"
#include "index/recall_monitor.h"
#include "index/search/scheduler.h"
#include "index/simd/kernels.h"
#include "index/storage/files.h"
#include "index/version_check.h"
#include "index/versions.h"

namespace bebr {
namespace {

constexpr uint32_t kMaxDefaultShards = 8;
constexpr uint64_t kMaxExpectedDocuments = uint64_t{1} << 40;

class EngineImpl final : public Engine {
 public:
  EngineImpl(EngineOptions options, std::unique_ptr<DirectoryLock> lock, std::unique_ptr<Catalog> catalog,
             std::unique_ptr<Snapshots> snapshots)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        catalog_(std::move(catalog)),
        snapshots_(std::move(snapshots)),
        shared_(std::make_unique<EngineShared>(options_.threads, options_.max_queued_upsert_bytes)),
        scheduler_(std::make_unique<Scheduler>(options_.threads, options_.max_queued_queries)) {
    shared_->cache = MakeStoreCache(options_.block_cache_bytes, options_.write_buffer_bytes);
  }

  ~EngineImpl() override {
    recall_monitor_.reset();
    StopBackfills("", "");
    scheduler_.reset();  // ends searches, which hold shards
    MutexLock lock(&mutex_);
    collections_.clear();
  }

  absl::Status Initialize();

  absl::Status CreateCollection(const CollectionConfig& config, std::string_view model_file) override;
  absl::Status DeleteCollection(std::string_view name) override;
  absl::StatusOr<CollectionInfo> GetCollection(std::string_view name) override;
  std::vector<std::string> ListCollections() override;
  absl::Status AddVersion(std::string_view collection, const VersionConfig& config,
                          std::string_view model_file) override;
  absl::Status PromoteVersion(std::string_view collection, std::string_view version, std::string_view expected_default,
                              bool force) override;
  absl::Status RetireVersion(std::string_view collection, std::string_view version) override;
  absl::Status StartBackfill(std::string_view collection, std::string_view version, uint64_t documents_per_s) override;
  absl::Status StopBackfill(std::string_view collection, std::string_view version) override;
  absl::StatusOr<VersionCheck> CheckVersion(std::string_view collection, const CheckRequest& request) override;
  absl::Status SetAlias(std::string_view alias, std::string_view collection,
                        std::optional<std::string_view> expected) override;
  absl::Status DeleteAlias(std::string_view alias) override;
  std::vector<Alias> ListAliases() override;
  absl::StatusOr<SnapshotInfo> CreateSnapshot(std::string_view collection, std::string_view name) override;
  absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(std::string_view collection) override {
    MutexLock lock(&admin_mutex_);
    return snapshots_->List(collection);
  }
  absl::Status RestoreSnapshot(std::string_view collection, std::string_view name,
                               std::string_view new_collection) override;
  absl::Status DeleteSnapshot(std::string_view collection, std::string_view name) override {
    MutexLock lock(&admin_mutex_);
    return snapshots_->Remove(collection, name);
  }
  std::string Resolve(std::string_view name) override {
    MutexLock lock(&mutex_);
    const auto alias = aliases_.find(name);
    return alias == aliases_.end() ? std::string(name) : alias->second;
  }

  void Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) override {
    auto collection = Find(request.collection);
    if (!collection.ok()) return done(collection.status());
    if (absl::Status status = CheckMemory(); !status.ok()) return done(status);
    if (absl::Status status = CheckDisk(); !status.ok()) return done(status);
    (*collection)->Upsert(std::move(request), std::move(done));
  }
  void Delete(std::string_view name, std::vector<std::string> ids,
              absl::AnyInvocable<void(absl::StatusOr<uint64_t>)> done) override {
    auto collection = Find(name);
    if (!collection.ok()) return done(collection.status());
    (*collection)->Delete(std::move(ids), std::move(done));
  }
  absl::StatusOr<std::vector<Document>> Get(std::string_view name, absl::Span<const std::string> ids,
                                            bool with_embeddings) override {
    BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
    return collection->Get(ids, with_embeddings);
  }
  void Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) override {
    auto collection = Find(request.collection);
    if (!collection.ok()) return done(collection.status());
    auto job = (*collection)->PrepareSearch(std::move(request));
    if (!job.ok()) return done(job.status());
    (*job)->done = std::move(done);
    scheduler_->Submit(*std::move(job));
  }

  EngineStats Stats() override;
  absl::StatusOr<MemoryUse> EstimateMemory(std::string_view name, uint64_t documents, double id_bytes) override {
    if (!(id_bytes >= 1 && id_bytes <= kMaxIdBytes)) {
      return absl::InvalidArgumentError(absl::StrFormat("id_bytes is %g; it is 1 to %d", id_bytes, kMaxIdBytes));
    }
    if (documents > kMaxExpectedDocuments) {
      return absl::InvalidArgumentError(
          absl::StrFormat("documents is %d; the limit is %d (2^40)", documents, kMaxExpectedDocuments));
    }
    BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
    return bebr::EstimateMemory(*collection->manifest(), documents, id_bytes);
  }

 private:
  absl::StatusOr<std::shared_ptr<Collection>> Find(std::string_view name) {
    MutexLock lock(&mutex_);
    const auto alias = aliases_.find(name);
    const auto it = collections_.find(alias == aliases_.end() ? name : std::string_view(alias->second));
    if (it != collections_.end()) return it->second;
    return absl::NotFoundError(
        absl::StrFormat("no collection is named \"%s\"", name.substr(0, kMaxCollectionNameBytes)));
  }
  absl::Status Open(CollectionManifest manifest);
  absl::Status CheckNameIsFree(std::string_view name);
  // Writes and publishes a changed manifest.
  absl::Status Save(Collection& collection, CollectionManifest manifest, std::string_view model_file = "")
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(admin_mutex_);

  using BackfillKey = std::pair<std::string, std::string>;  // collection, version
  void RunBackfill(const std::shared_ptr<Collection>& collection, const Version& version);
  void EndBackfill(const BackfillKey& key, const Backfill* ended);
  // Stops those of a collection, or of one of its versions, or all where the names are empty. Waits for their threads,
  // so admin_mutex_ must not be held.
  void StopBackfills(std::string_view collection, std::string_view version);
  absl::StatusOr<SearchResult> SearchNowAndWait(SearchRequest request);
  // RESOURCE_EXHAUSTED if `documents` documents of such a collection would not fit beside the other ones.
  absl::Status CheckFits(const CollectionManifest& manifest, uint64_t documents);
  // RESOURCE_EXHAUSTED once the collections hold memory_limit_bytes.
  absl::Status CheckMemory() {
    if (options_.memory_limit_bytes == 0) return absl::OkStatus();
    uint64_t used = 0;
    {
      MutexLock lock(&mutex_);
      for (const auto& [name, collection] : collections_) {
        for (const auto& shard : collection->shards()) used += shard->memory_bytes();
      }
    }
    if (used < options_.memory_limit_bytes) return absl::OkStatus();
    shared_->refused_memory.fetch_add(1, std::memory_order_relaxed);
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the collections hold %d bytes of memory and memory_limit_bytes is %d; delete documents or raise the limit",
        used, options_.memory_limit_bytes));
  }

  // RESOURCE_EXHAUSTED while the disk has less than min_free_disk_bytes: a full disk would stop deletes and compactions
  // too, and those are what makes room.
  absl::Status CheckDisk() {
    if (options_.min_free_disk_bytes == 0) return absl::OkStatus();
    const DiskSpace space = DiskSpaceOf(options_.data_dir);
    if (space.total_bytes == 0 || space.free_bytes >= options_.min_free_disk_bytes) return absl::OkStatus();
    shared_->refused_disk.fetch_add(1, std::memory_order_relaxed);
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the disk of %s has %d bytes left and min_free_disk_bytes is %d: nothing is added until there is "
        "more; delete documents or collections, or enlarge the disk",
        options_.data_dir, space.free_bytes, options_.min_free_disk_bytes));
  }

  const EngineOptions options_;
  const std::unique_ptr<DirectoryLock> lock_;
  const std::unique_ptr<Catalog> catalog_;
  const std::unique_ptr<Snapshots> snapshots_;
  const std::unique_ptr<EngineShared> shared_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<RecallMonitor> recall_monitor_;  // null: off

  Mutex admin_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // one change of the catalogue at a time
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<Collection>, std::less<>> collections_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string, std::less<>> aliases_ ABSL_GUARDED_BY(mutex_);
  std::map<BackfillKey, std::shared_ptr<Backfill>> backfills_ ABSL_GUARDED_BY(mutex_);  // also ended ones
};

absl::Status EngineImpl::Initialize() {
  BEBR_ASSIGN_OR_RETURN(std::vector<CollectionManifest> manifests, catalog_->Load());
  for (CollectionManifest& manifest : manifests) BEBR_RETURN_IF_ERROR(Open(std::move(manifest)));
  BEBR_ASSIGN_OR_RETURN(auto aliases, catalog_->LoadAliases());
  std::vector<std::shared_ptr<Collection>> collections;
  {
    MutexLock lock(&mutex_);
    // A collection and then its alias are dropped in two steps: the second may be missing.
    std::erase_if(aliases, [&](const auto& alias)
                               ABSL_NO_THREAD_SAFETY_ANALYSIS { return !collections_.contains(alias.second); });
    aliases_ = std::move(aliases);
    for (const auto& [name, collection] : collections_) collections.push_back(collection);
  }
  for (const auto& collection : collections) {
    for (const Version& version : collection->manifest()->versions) {
      if (!version.backfilling || version.retired) continue;
      LogInfo("collection {}: going on with the backfill of version {}", collection->manifest()->name, version.name);
      RunBackfill(collection, version);
    }
  }
  if (options_.recall_monitor_interval <= absl::ZeroDuration()) return absl::OkStatus();
  const auto list = [this] {
    MutexLock lock(&mutex_);
    std::vector<std::shared_ptr<Collection>> open;
    for (const auto& [name, collection] : collections_) open.push_back(collection);
    return open;
  };
  recall_monitor_ = std::make_unique<RecallMonitor>(
      RecallMonitor::Options{.interval = options_.recall_monitor_interval,
                             .queries = options_.recall_monitor_queries,
                             .documents_per_s = options_.recall_monitor_documents_per_s},
      list, [this](SearchRequest request) { return SearchNowAndWait(std::move(request)); });
  return absl::OkStatus();
}

absl::StatusOr<SearchResult> EngineImpl::SearchNowAndWait(SearchRequest request) {
  auto outcome = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();  // shared: set_value may outlast get
  Search(std::move(request), [outcome](auto result) { outcome->set_value(std::move(result)); });
  return outcome->get_future().get();
}

absl::Status EngineImpl::CheckFits(const CollectionManifest& manifest, uint64_t documents) {
  if (documents == 0) return absl::OkStatus();
  const MemoryUse needed = bebr::EstimateMemory(manifest, documents, kUsualIdBytes);
  uint64_t others = 0;
  {
    MutexLock lock(&mutex_);
    for (const auto& [name, collection] : collections_) {
      if (name == manifest.name) continue;
      const auto other = collection->manifest();
      uint64_t held = 0;
      for (const auto& shard : collection->shards()) held += shard->memory_bytes();
      others += std::max(held, bebr::EstimateMemory(*other, other->expected_documents, kUsualIdBytes).total);
    }
  }
  const bool limited = options_.memory_limit_bytes > 0;
  const uint64_t limit = limited ? options_.memory_limit_bytes : MachineMemoryBytes();
  if (needed.total <= limit && others <= limit - needed.total) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat(
      "collection \"%s\" would not fit: %d documents take %d bytes of memory by the formula (codes %d, ids %d, models "
      "%d), the other collections hold or expect %d, and %s is %d; expect fewer documents, use shorter codes, drop or "
      "retire what is not needed, or %s",
      manifest.name, documents, needed.total, needed.codes, needed.ids, needed.models, others,
      limited ? "memory_limit_bytes" : "the memory of this machine", limit,
      limited ? "raise the limit" : "take a machine with more memory"));
}

absl::Status EngineImpl::Save(Collection& collection, CollectionManifest manifest, std::string_view model_file) {
  BEBR_RETURN_IF_ERROR(catalog_->Update(manifest, model_file));
  collection.ReplaceManifest(std::move(manifest));
  return absl::OkStatus();
}

absl::Status EngineImpl::CheckNameIsFree(std::string_view name) {
  MutexLock lock(&mutex_);
  if (collections_.contains(name)) {
    return absl::AlreadyExistsError(absl::StrFormat("a collection is named \"%s\" already", name));
  }
  if (const auto alias = aliases_.find(name); alias != aliases_.end()) {
    return absl::AlreadyExistsError(
        absl::StrFormat("\"%s\" is an alias of collection \"%s\" already", name, alias->second));
  }
  return absl::OkStatus();
}

absl::Status EngineImpl::Open(CollectionManifest manifest) {
  const absl::Time start = absl::Now();
  const std::string name = manifest.name;
  BEBR_ASSIGN_OR_RETURN(auto collection,
                        Collection::Open(std::move(manifest), catalog_->CollectionPath(name), shared_.get()));
  LogInfo("collection {}: {} documents in {} shards, opened in {} ms", name, collection->documents(),
          collection->shards().size(), absl::ToInt64Milliseconds(absl::Now() - start));
  MutexLock lock(&mutex_);
  collections_.emplace(name, std::move(collection));
  return absl::OkStatus();
}

absl::Status EngineImpl::CreateCollection(const CollectionConfig& config, std::string_view model_file) {
  BEBR_RETURN_IF_ERROR(CheckDisk());
  BEBR_RETURN_IF_ERROR(ValidateName("name", config.name));
  BEBR_RETURN_IF_ERROR(ValidateName("version", config.version));
  if (config.shards > kMaxShards) {
    return absl::InvalidArgumentError(absl::StrFormat("shards is %d; the limit is %d", config.shards, kMaxShards));
  }
  if (config.expected_documents > kMaxExpectedDocuments) {
    return absl::InvalidArgumentError(absl::StrFormat("expected_documents is %d; the limit is %d (2^40)",
                                                      config.expected_documents, kMaxExpectedDocuments));
  }
  auto binarizer = Binarizer::Parse(model_file);
  if (!binarizer.ok()) {
    return absl::InvalidArgumentError(absl::StrFormat("model: %s", binarizer.status().message()));
  }
  MutexLock lock(&admin_mutex_);
  BEBR_RETURN_IF_ERROR(CheckNameIsFree(config.name));
  CollectionManifest manifest;
  manifest.name = config.name;
  manifest.created_unix_us = absl::ToUnixMicros(absl::Now());
  manifest.store_floats = config.store_floats;
  manifest.shards = config.shards != 0 ? config.shards : std::min<uint32_t>(kMaxDefaultShards, options_.threads);
  manifest.expected_documents = config.expected_documents;
  manifest.default_version = config.version;
  manifest.spaces.push_back({0, (*binarizer)->spec()});
  manifest.next_space = 1;
  manifest.versions.push_back({.name = config.version, .binarizer = *std::move(binarizer)});
  BEBR_RETURN_IF_ERROR(CheckFits(manifest, manifest.expected_documents));
  BEBR_RETURN_IF_ERROR(catalog_->Create(manifest, model_file));
  return Open(std::move(manifest));
}

absl::Status EngineImpl::DeleteCollection(std::string_view name) {
  {
    MutexLock lock(&admin_mutex_);
    BEBR_RETURN_IF_ERROR(Find(name).status());
    MutexLock inner(&mutex_);
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
    collections_.erase(collections_.find(name));
  }
  StopBackfills(name, "");
  MutexLock lock(&admin_mutex_);
  // Searches and writes in flight hold the open files; their space is returned when they end.
  return catalog_->Remove(name);
}

absl::StatusOr<CollectionInfo> EngineImpl::GetCollection(std::string_view name) {
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  const auto manifest = collection->manifest();
  CollectionInfo info = collection->Info();
  MutexLock lock(&mutex_);
  for (size_t v = 0; v < info.versions.size(); ++v) {
    VersionInfo& version = info.versions[v];
    if (recall_monitor_ != nullptr && version.state != VersionState::kRetired) {
      version.recall = recall_monitor_->Last(info.name, version.name);
    }
    const auto backfill = backfills_.find({info.name, version.name});
    if (backfill == backfills_.end()) continue;
    version.backfill = backfill->second->info();
    // Done is what the catalogue says is done: who waits for the end finds the version's new state.
    const bool recorded = v >= manifest->versions.size() || !manifest->versions[v].backfilling;
    if (!recorded && version.backfill->error.empty()) version.backfill->running = true;
  }
  return info;
}

std::vector<std::string> EngineImpl::ListCollections() {
  MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, collection] : collections_) names.push_back(name);
  return names;
}

absl::Status EngineImpl::AddVersion(std::string_view name, const VersionConfig& config, std::string_view model_file) {
  BEBR_RETURN_IF_ERROR(CheckDisk());
  BEBR_RETURN_IF_ERROR(ValidateName("version", config.name));
  auto binarizer = Binarizer::Parse(model_file);
  if (!binarizer.ok()) return absl::InvalidArgumentError(absl::StrFormat("model: %s", binarizer.status().message()));
  MutexLock lock(&admin_mutex_);
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  BEBR_ASSIGN_OR_RETURN(CollectionManifest manifest,
                        WithVersion(*collection->manifest(), config, *std::move(binarizer)));
  BEBR_RETURN_IF_ERROR(CheckFits(manifest, std::max(manifest.expected_documents, collection->documents())));
  BEBR_RETURN_IF_ERROR(catalog_->Update(manifest, model_file));
  collection->AddVersion(std::move(manifest));
  return absl::OkStatus();
}

absl::Status EngineImpl::PromoteVersion(std::string_view name, std::string_view version,
                                        std::string_view expected_default, bool force) {
  MutexLock lock(&admin_mutex_);
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  CollectionManifest manifest = *collection->manifest();
  if (!expected_default.empty() && expected_default != manifest.default_version) {
    return absl::FailedPreconditionError(
        absl::StrFormat("the default version is \"%s\", not \"%s\": somebody has changed it meanwhile",
                        manifest.default_version, expected_default));
  }
  if (version.empty()) return absl::InvalidArgumentError("version is empty; name the version to promote");
  BEBR_ASSIGN_OR_RETURN(const Version* promoted, manifest.FindVersion(version));
  if (!force && collection->documents() > 0 && collection->DocumentsInSpace(promoted->space) == 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("no document has a code in the space of version \"%s\", so searches would find nothing; "
                        "backfill it first, or force it",
                        version));
  }
  if (manifest.default_version == version) return absl::OkStatus();
  manifest.previous_default = manifest.default_version;
  manifest.default_version = version;
  return Save(*collection, std::move(manifest));
}

absl::Status EngineImpl::RetireVersion(std::string_view name, std::string_view version) {
  if (version.empty()) return absl::InvalidArgumentError("version is empty; name the version to retire");
  Version retired;
  std::shared_ptr<Collection> collection;
  {
    MutexLock lock(&admin_mutex_);
    BEBR_ASSIGN_OR_RETURN(collection, Find(name));
    BEBR_ASSIGN_OR_RETURN(CollectionManifest manifest, WithoutVersion(*collection, version));
    BEBR_ASSIGN_OR_RETURN(const Version* found, collection->manifest()->FindVersion(version));
    retired = *found;
    BEBR_RETURN_IF_ERROR(Save(*collection, std::move(manifest)));
  }
  StopBackfills(collection->manifest()->name, version);
  return collection->DropVersion(retired);
}

void EngineImpl::RunBackfill(const std::shared_ptr<Collection>& collection, const Version& version) {
  const BackfillKey key(collection->manifest()->name, version.name);
  auto backfill = std::make_shared<Backfill>(collection, version, version.backfill_documents_per_s,
                                             [this, key](const Backfill* ended) { EndBackfill(key, ended); });
  MutexLock lock(&mutex_);
  backfills_[key] = std::move(backfill);
}

void EngineImpl::EndBackfill(const BackfillKey& key, const Backfill* ended) {
  MutexLock lock(&admin_mutex_);
  {
    MutexLock inner(&mutex_);
    const auto current = backfills_.find(key);
    if (current == backfills_.end() || current->second.get() != ended) return;  // started again meanwhile, or stopped
  }
  const auto collection = Find(key.first);
  if (!collection.ok()) return;
  CollectionManifest manifest = *(*collection)->manifest();
  const auto version = manifest.FindVersion(key.second);
  if (!version.ok()) return;
  manifest.versions[(*version)->number].backfilling = false;
  if (absl::Status status = Save(**collection, std::move(manifest)); !status.ok()) {
    LogError("the end of a backfill could not be recorded, so it will run again: {}", status.ToString());
  }
}

void EngineImpl::StopBackfills(std::string_view collection, std::string_view version) {
  std::vector<std::shared_ptr<Backfill>> stopped;  // ended here, outside the lock
  MutexLock lock(&mutex_);
  std::erase_if(backfills_, [&](auto& entry) {
    if (!collection.empty() && entry.first.first != collection) return false;
    if (!version.empty() && entry.first.second != version) return false;
    stopped.push_back(std::move(entry.second));
    return true;
  });
}

absl::Status EngineImpl::StartBackfill(std::string_view name, std::string_view version, uint64_t documents_per_s) {
  if (version.empty()) return absl::InvalidArgumentError("version is empty; name the version to backfill");
  BEBR_RETURN_IF_ERROR(CheckDisk());
  std::shared_ptr<Backfill> old;  // the one before; ends after the lock, which its thread may wait for
  MutexLock lock(&admin_mutex_);
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  CollectionManifest manifest = *collection->manifest();
  BEBR_ASSIGN_OR_RETURN(const Version* found, manifest.FindVersion(version));
  if (manifest.store_floats == FloatStorage::kNone) {
    return absl::FailedPreconditionError(
        absl::StrFormat("collection \"%s\" stores no floats, so the server has nothing to encode again; write the new "
                        "embeddings with an "
                        "upsert of mode merge (bebr import --merge)",
                        manifest.name));
  }
  if (collection->documents() > 0 && collection->DocumentsWithEmbedding(found->embedding) == 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("no document has stored floats that version \"%s\" takes; write the new embeddings with an "
                        "upsert of mode merge "
                        "(bebr import --merge), or add the version with same_embeddings_as if it is another binarizer "
                        "for embeddings that "
                        "are stored",
                        version));
  }
  Version& changed = manifest.versions[found->number];
  const bool was_running = changed.backfilling;
  changed.backfilling = true;
  changed.backfill_documents_per_s = documents_per_s;
  const Version copy = changed;
  const BackfillKey key(manifest.name, copy.name);
  BEBR_RETURN_IF_ERROR(Save(*collection, std::move(manifest)));
  {
    MutexLock inner(&mutex_);
    const auto backfill = backfills_.find(key);
    if (backfill != backfills_.end()) old = backfill->second;
  }
  if (was_running && old != nullptr && old->info().running) {
    old->SetLimit(documents_per_s);
  } else {
    RunBackfill(collection, copy);
  }
  return absl::OkStatus();
}

absl::Status EngineImpl::StopBackfill(std::string_view name, std::string_view version) {
  std::string collection_name;
  {
    MutexLock lock(&admin_mutex_);
    BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
    CollectionManifest manifest = *collection->manifest();
    if (version.empty()) return absl::InvalidArgumentError("version is empty; name the version");
    BEBR_ASSIGN_OR_RETURN(const Version* found, manifest.FindVersion(version));
    if (!found->backfilling) {
      return absl::FailedPreconditionError(absl::StrFormat("no backfill of version \"%s\" is running", version));
    }
    manifest.versions[found->number].backfilling = false;
    collection_name = manifest.name;
    BEBR_RETURN_IF_ERROR(Save(*collection, std::move(manifest)));
  }
  StopBackfills(collection_name, version);
  return absl::OkStatus();
}

absl::StatusOr<VersionCheck> EngineImpl::CheckVersion(std::string_view name, const CheckRequest& request) {
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  const auto search = [this](SearchRequest query) { return SearchNowAndWait(std::move(query)); };
  BEBR_ASSIGN_OR_RETURN(VersionCheck check,
                        CompareVersions(*collection, request, search, {.threads = options_.threads, .spend = nullptr}));
  MutexLock lock(&admin_mutex_);
  CollectionManifest manifest = *collection->manifest();
  BEBR_ASSIGN_OR_RETURN(const Version* found, manifest.FindVersion(request.version));
  manifest.versions[found->number].check = check;
  BEBR_RETURN_IF_ERROR(Save(*collection, std::move(manifest)));
  return check;
}

absl::Status EngineImpl::SetAlias(std::string_view alias, std::string_view name,
                                  std::optional<std::string_view> expected) {
  BEBR_RETURN_IF_ERROR(ValidateName("alias", alias));
  MutexLock lock(&admin_mutex_);
  std::map<std::string, std::string, std::less<>> aliases;
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
  BEBR_RETURN_IF_ERROR(catalog_->SaveAliases(aliases));
  MutexLock inner(&mutex_);
  aliases_ = std::move(aliases);
  return absl::OkStatus();
}

absl::Status EngineImpl::DeleteAlias(std::string_view alias) {
  MutexLock lock(&admin_mutex_);
  std::map<std::string, std::string, std::less<>> aliases;
  {
    MutexLock inner(&mutex_);
    aliases = aliases_;
  }
  const auto found = aliases.find(alias);
  if (found == aliases.end()) {
    return absl::NotFoundError(absl::StrFormat("no alias is named \"%s\"", alias.substr(0, kMaxCollectionNameBytes)));
  }
  aliases.erase(found);
  BEBR_RETURN_IF_ERROR(catalog_->SaveAliases(aliases));
  MutexLock inner(&mutex_);
  aliases_ = std::move(aliases);
  return absl::OkStatus();
}

std::vector<Alias> EngineImpl::ListAliases() {
  MutexLock lock(&mutex_);
  std::vector<Alias> aliases;
  for (const auto& [alias, collection] : aliases_) aliases.push_back({alias, collection});
  return aliases;
}

absl::StatusOr<SnapshotInfo> EngineImpl::CreateSnapshot(std::string_view name, std::string_view snapshot) {
  const absl::Time now = absl::Now();
  const std::string given =
      snapshot.empty() ? absl::FormatTime("%Y%m%d-%H%M%S", now, absl::UTCTimeZone()) : std::string(snapshot);
  BEBR_RETURN_IF_ERROR(ValidateName("snapshot", given));
  MutexLock lock(&admin_mutex_);  // so the manifest stays what the shards follow
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  const auto manifest = collection->manifest();
  const SnapshotInfo info{
      .collection = manifest->name, .name = given, .created = now, .documents = collection->documents()};
  return snapshots_->Create(info, catalog_->CollectionPath(manifest->name), [&](const std::string& path) {
    const absl::Status status = WriteManifest(path, *manifest);
    return status.ok() ? collection->Checkpoint(path) : status;
  });
}

absl::Status EngineImpl::RestoreSnapshot(std::string_view name, std::string_view snapshot,
                                         std::string_view new_collection) {
  BEBR_RETURN_IF_ERROR(ValidateName("new_collection", new_collection));
  MutexLock lock(&admin_mutex_);
  BEBR_RETURN_IF_ERROR(CheckNameIsFree(new_collection));
  BEBR_ASSIGN_OR_RETURN(const std::string path, snapshots_->Find(name, snapshot));
  BEBR_ASSIGN_OR_RETURN(CollectionManifest manifest, ReadManifest(path));
  manifest.name = new_collection;
  for (Version& version : manifest.versions) version.backfilling = false;  // who wants it starts it
  BEBR_ASSIGN_OR_RETURN(const SnapshotInfo info, snapshots_->Info(name, snapshot));
  BEBR_RETURN_IF_ERROR(CheckFits(manifest, std::max(manifest.expected_documents, info.documents)));
  BEBR_RETURN_IF_ERROR(catalog_->Restore(manifest, path));
  return Open(std::move(manifest));
}

EngineStats EngineImpl::Stats() {
  EngineStats stats;
  const Scheduler::Counters& counters = scheduler_->counters();
  stats.queries = counters.queries.load();
  stats.scans = counters.scans.load();
  stats.documents_scanned = counters.documents_scanned.load();
  stats.bytes_scanned = counters.bytes_scanned.load();
  stats.refused_queries = counters.refused_queries.load();
  stats.scan_us = counters.scan_us.load();
  stats.queued_queries = scheduler_->queued_queries();
  stats.documents_upserted = shared_->documents_upserted.load();
  stats.documents_deleted = shared_->documents_deleted.load();
  stats.documents_reencoded = shared_->documents_reencoded.load();
  stats.refused_upserts = shared_->refused_upserts.load();
  stats.refused_memory = shared_->refused_memory.load();
  stats.refused_disk = shared_->refused_disk.load();
  stats.queued_upsert_bytes = shared_->queued_upsert_bytes.load();
  const DiskSpace space = DiskSpaceOf(options_.data_dir);
  stats.disk_free_bytes = space.free_bytes;
  stats.disk_total_bytes = space.total_bytes;
  stats.storage = SharedStats(*shared_->cache);
  stats.encode_us = shared_->encode_us.load();
  if (recall_monitor_ != nullptr) {
    const RecallMonitor::Counters recall = recall_monitor_->counters();
    stats.recall_measured = recall.measured;
    stats.recall_failed = recall.failed;
  }
  stats.simd = simd::Kernels().name;
  stats.threads = options_.threads;
  MutexLock lock(&mutex_);
  for (const auto& [name, collection] : collections_) {
    for (const auto& shard : collection->shards()) {
      const Shard::Stats shard_stats = shard->stats();
      stats.commit_us += shard_stats.commit_us;
      stats.apply_us += shard_stats.apply_us;
      stats.failed_commits += shard_stats.failed_commits;
      shard->store().AddStats(stats.storage);
    }
  }
  return stats;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(EngineOptions options) {
  if (options.data_dir.empty())
    return absl::InvalidArgumentError("data_dir is empty; name the directory that holds the collections");
  if (options.threads == 0) options.threads = AvailableProcessors();
  BEBR_RETURN_IF_ERROR(CreateDirectories(options.data_dir));
  BEBR_ASSIGN_OR_RETURN(auto lock, DirectoryLock::Acquire(options.data_dir));
  BEBR_ASSIGN_OR_RETURN(auto catalog, Catalog::Open(options.data_dir));
  BEBR_ASSIGN_OR_RETURN(auto snapshots, Snapshots::Open(options.snapshot_dir.empty() ? options.data_dir + "/snapshots"
                                                                                     : options.snapshot_dir));
  auto engine =
      std::make_unique<EngineImpl>(std::move(options), std::move(lock), std::move(catalog), std::move(snapshots));
  BEBR_RETURN_IF_ERROR(engine->Initialize());
  return engine;
}

}  // namespace bebr
