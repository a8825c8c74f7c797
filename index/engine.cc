#include "index/engine.h"

#include <algorithm>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "index/base/logging.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "index/catalog/catalog.h"
#include "index/collection.h"
#include "index/search/scheduler.h"
#include "index/simd/kernels.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

constexpr uint64_t kStoreCacheBytes = uint64_t{128} << 20;
constexpr uint32_t kMaxDefaultShards = 8;

class EngineImpl final : public Engine {
 public:
  EngineImpl(EngineOptions options, std::unique_ptr<DirectoryLock> lock, std::unique_ptr<Catalog> catalog)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        catalog_(std::move(catalog)),
        shared_(std::make_unique<EngineShared>(options_.threads, options_.max_queued_upsert_bytes)),
        scheduler_(std::make_unique<Scheduler>(options_.threads, options_.max_queued_queries)) {
    shared_->cache = MakeStoreCache(kStoreCacheBytes);
  }

  ~EngineImpl() override {
    scheduler_.reset();  // ends searches, which hold shards
    MutexLock lock(&mutex_);
    collections_.clear();
  }

  absl::Status Initialize();

  absl::Status CreateCollection(const CollectionConfig& config, std::string_view model_file) override;
  absl::Status DeleteCollection(std::string_view name) override;
  absl::StatusOr<CollectionInfo> GetCollection(std::string_view name) override;
  std::vector<std::string> ListCollections() override;
  absl::Status AddVersion(std::string_view collection, std::string_view version, std::string_view model_file,
                          std::string_view compatible_with) override;
  absl::Status PromoteVersion(std::string_view collection, std::string_view version,
                              std::string_view expected_default) override;
  absl::Status RetireVersion(std::string_view collection, std::string_view version) override;

  void Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) override {
    auto collection = Find(request.collection);
    if (!collection.ok()) return done(collection.status());
    if (absl::Status status = CheckMemory(); !status.ok()) return done(status);
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
    if (documents > (uint64_t{1} << 40)) {
      return absl::InvalidArgumentError(absl::StrFormat("documents is %d; the limit is 2^40", documents));
    }
    BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
    return collection->EstimateMemory(documents, id_bytes);
  }

 private:
  absl::StatusOr<std::shared_ptr<Collection>> Find(std::string_view name) {
    MutexLock lock(&mutex_);
    const auto it = collections_.find(name);
    if (it != collections_.end()) return it->second;
    return absl::NotFoundError(
        absl::StrFormat("no collection is named \"%s\"", name.substr(0, kMaxCollectionNameBytes)));
  }
  absl::Status Open(CollectionManifest manifest);
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
    shared_->refused_upserts.fetch_add(1, std::memory_order_relaxed);
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the collections hold %d bytes of memory and memory_limit_bytes is %d; delete documents or raise the limit",
        used, options_.memory_limit_bytes));
  }

  const EngineOptions options_;
  const std::unique_ptr<DirectoryLock> lock_;
  const std::unique_ptr<Catalog> catalog_;
  const std::unique_ptr<EngineShared> shared_;
  std::unique_ptr<Scheduler> scheduler_;

  Mutex admin_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // one change of the catalogue at a time
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<Collection>, std::less<>> collections_ ABSL_GUARDED_BY(mutex_);
};

absl::Status EngineImpl::Initialize() {
  BEBR_ASSIGN_OR_RETURN(std::vector<CollectionManifest> manifests, catalog_->Load());
  for (CollectionManifest& manifest : manifests) BEBR_RETURN_IF_ERROR(Open(std::move(manifest)));
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
  BEBR_RETURN_IF_ERROR(ValidateName("name", config.name));
  BEBR_RETURN_IF_ERROR(ValidateName("version", config.version));
  if (config.shards > kMaxShards) {
    return absl::InvalidArgumentError(absl::StrFormat("shards is %d; the limit is %d", config.shards, kMaxShards));
  }
  auto binarizer = Binarizer::Parse(model_file);
  if (!binarizer.ok()) {
    return absl::InvalidArgumentError(absl::StrFormat("model: %s", binarizer.status().message()));
  }
  MutexLock lock(&admin_mutex_);
  if (Find(config.name).ok()) {
    return absl::AlreadyExistsError(absl::StrFormat("a collection is named \"%s\" already", config.name));
  }
  CollectionManifest manifest;
  manifest.name = config.name;
  manifest.created_unix_us = absl::ToUnixMicros(absl::Now());
  manifest.store_floats = config.store_floats;
  manifest.shards = config.shards != 0 ? config.shards : std::min<uint32_t>(kMaxDefaultShards, options_.threads);
  manifest.default_version = config.version;
  manifest.spaces.push_back({0, (*binarizer)->spec()});
  manifest.next_space = 1;
  manifest.versions.push_back({0, config.version, 0, false, *std::move(binarizer)});
  BEBR_RETURN_IF_ERROR(catalog_->Create(manifest, model_file));
  return Open(std::move(manifest));
}

absl::Status EngineImpl::DeleteCollection(std::string_view name) {
  MutexLock lock(&admin_mutex_);
  BEBR_RETURN_IF_ERROR(Find(name).status());
  {
    MutexLock inner(&mutex_);
    collections_.erase(collections_.find(name));
  }
  // Searches and writes in flight hold the open files; their space is returned when they end.
  return catalog_->Remove(name);
}

absl::StatusOr<CollectionInfo> EngineImpl::GetCollection(std::string_view name) {
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  return collection->Info();
}

std::vector<std::string> EngineImpl::ListCollections() {
  MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, collection] : collections_) names.push_back(name);
  return names;
}

absl::Status EngineImpl::AddVersion(std::string_view name, std::string_view version, std::string_view model_file,
                                    std::string_view compatible_with) {
  BEBR_RETURN_IF_ERROR(ValidateName("version", version));
  auto binarizer = Binarizer::Parse(model_file);
  if (!binarizer.ok()) return absl::InvalidArgumentError(absl::StrFormat("model: %s", binarizer.status().message()));
  MutexLock lock(&admin_mutex_);
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  CollectionManifest manifest = *collection->manifest();
  for (const Version& other : manifest.versions) {
    if (other.name == version) {
      return absl::AlreadyExistsError(
          absl::StrFormat("collection \"%s\" has had a version \"%s\" already", name, version));
    }
  }
  if (manifest.versions.size() >= kMaxVersions) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("collection \"%s\" has had %d versions, which is the limit", name, kMaxVersions));
  }
  BEBR_ASSIGN_OR_RETURN(const Version* default_version, manifest.FindVersion(""));
  if ((*binarizer)->metric() != default_version->binarizer->metric()) {
    return absl::InvalidArgumentError(absl::StrFormat("model: its metric is %s; the collection's is %s",
                                                      ToString((*binarizer)->metric()),
                                                      ToString(default_version->binarizer->metric())));
  }
  uint32_t space = manifest.next_space;
  if (!compatible_with.empty()) {
    BEBR_ASSIGN_OR_RETURN(const Version* other, manifest.FindVersion(compatible_with));
    space = other->space;
    const CodeSpec& spec = manifest.FindSpace(space)->spec;
    if (!(spec == (*binarizer)->spec())) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "model: its code is %s; the space of version \"%s\" has %s (weights count too), so it is not compatible",
          (*binarizer)->spec().ToString(), compatible_with, spec.ToString()));
    }
  } else {
    manifest.spaces.push_back({space, (*binarizer)->spec()});
    ++manifest.next_space;
  }
  const uint32_t number = static_cast<uint32_t>(manifest.versions.size());
  manifest.versions.push_back({number, std::string(version), space, false, *std::move(binarizer)});
  BEBR_RETURN_IF_ERROR(catalog_->Update(manifest, model_file));
  collection->AddVersion(std::move(manifest));
  return absl::OkStatus();
}

absl::Status EngineImpl::PromoteVersion(std::string_view name, std::string_view version,
                                        std::string_view expected_default) {
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
  if (collection->documents() > 0 && collection->DocumentsInSpace(promoted->space) == 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "no document has a code in the space of version \"%s\", so searches would find nothing; backfill it first",
        version));
  }
  manifest.default_version = version;
  BEBR_RETURN_IF_ERROR(catalog_->Update(manifest, ""));
  collection->ReplaceManifest(std::move(manifest));
  return absl::OkStatus();
}

absl::Status EngineImpl::RetireVersion(std::string_view name, std::string_view version) {
  MutexLock lock(&admin_mutex_);
  BEBR_ASSIGN_OR_RETURN(const auto collection, Find(name));
  CollectionManifest manifest = *collection->manifest();
  if (version.empty()) return absl::InvalidArgumentError("version is empty; name the version to retire");
  BEBR_ASSIGN_OR_RETURN(const Version* found, manifest.FindVersion(version));
  const Version retired = *found;
  if (retired.name == manifest.default_version) {
    return absl::FailedPreconditionError(
        absl::StrFormat("version \"%s\" is the default; promote another version first", version));
  }
  const bool last_of_space =
      std::none_of(manifest.versions.begin(), manifest.versions.end(), [&](const Version& other) {
        return !other.retired && other.number != retired.number && other.space == retired.space;
      });
  BEBR_ASSIGN_OR_RETURN(const Version* default_version, manifest.FindVersion(""));
  if (last_of_space) {
    const uint64_t documents = collection->documents(), kept = collection->DocumentsInSpace(default_version->space);
    if (kept < documents) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "%d of %d documents have no code in the space of the default version \"%s\" and would be lost to searches; "
          "backfill or delete them first",
          documents - kept, documents, manifest.default_version));
    }
    std::erase_if(manifest.spaces, [&](const Space& space) { return space.number == retired.space; });
  }
  manifest.versions[retired.number].retired = true;
  manifest.versions[retired.number].binarizer = nullptr;
  BEBR_RETURN_IF_ERROR(catalog_->Update(manifest, ""));
  collection->ReplaceManifest(std::move(manifest));
  BEBR_RETURN_IF_ERROR(collection->DropVersion(retired.number));
  return last_of_space ? collection->DropSpace(retired.space) : absl::OkStatus();
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
  stats.refused_upserts = shared_->refused_upserts.load();
  stats.encode_us = shared_->encode_us.load();
  stats.simd = simd::Kernels().name;
  stats.threads = options_.threads;
  MutexLock lock(&mutex_);
  for (const auto& [name, collection] : collections_) {
    for (const auto& shard : collection->shards()) {
      const Shard::Stats shard_stats = shard->stats();
      stats.commit_us += shard_stats.commit_us;
      stats.apply_us += shard_stats.apply_us;
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
  auto engine = std::make_unique<EngineImpl>(std::move(options), std::move(lock), std::move(catalog));
  BEBR_RETURN_IF_ERROR(engine->Initialize());
  return engine;
}

}  // namespace bebr
