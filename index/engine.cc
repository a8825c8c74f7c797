#include "index/engine.h"

#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/collection/backups.h"
#include "index/collection/capacity.h"
#include "index/collection/caretaker.h"
#include "index/collection/engine_shared.h"
#include "index/collection/registry.h"
#include "index/collection/scrubber.h"
#include "index/learn/learner.h"
#include "index/request/filtered_write.h"
#include "index/request/new_collection.h"
#include "index/request/page.h"
#include "index/request/query.h"
#include "index/request/recommend.h"
#include "index/request/seen_view.h"
#include "index/search/browse.h"
#include "index/search/scheduler.h"
#include "index/search/search_job.h"
#include "index/simd/choice.h"
#include "index/simd/kernels.h"
#include "index/storage/files.h"
#include "index/upgrade/upgrades.h"

namespace bebr {
namespace {

// Delegates: the registry knows the collections, the scheduler searches them, the rest is named after what it does.
class EngineImpl final : public Engine {
 public:
  EngineImpl(EngineOptions options, std::unique_ptr<DirectoryLock> lock)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        capacity_(options_.data_dir),
        shared_(options_.threads, options_.max_queued_upsert_bytes),
        scheduler_(std::make_unique<Scheduler>(options_.threads, options_.max_queued_queries)) {
    shared_.cache = MakeStoreCache(options_.block_cache_bytes, options_.write_buffer_bytes);
    capacity_.SetLimits(options_.memory_limit_bytes, options_.min_free_disk_bytes);
    shared_.kept_views.SetMost(options_.max_kept_views);
  }
  ~EngineImpl() override {
    scrubber_.reset();
    caretaker_.reset();
    learner_.reset();
    upgrades_.reset();   // its searches still end
    scheduler_.reset();  // ends searches, which hold shards
    shared_.kept_views.Clear();
  }

  absl::Status Initialize();
  void EndBy(absl::Duration time) override { shared_.end_by = time; }
  void SetLimits(const EngineOptions& options) override {
    scheduler_->SetMaxQueuedQueries(options.max_queued_queries);
    shared_.kept_views.SetMost(options.max_kept_views);
    shared_.max_queued_upsert_bytes = options.max_queued_upsert_bytes;
    capacity_.SetLimits(options.memory_limit_bytes, options.min_free_disk_bytes);
    SetCacheCapacity(*shared_.cache, options.block_cache_bytes);
  }

  absl::Status CreateCollection(const CollectionConfig& config, std::string_view model_file) override;
  absl::Status DeleteCollection(std::string_view name) override {
    return registry_->Drop(name, [&] {
      learner_->Forget(name);
      upgrades_->Forget(name);
    });
  }
  absl::StatusOr<CollectionInfo> GetCollection(std::string_view name) override;
  std::vector<std::string> ListCollections() override;
  std::vector<UnavailableCollection> UnavailableCollections() override { return registry_->Unavailable(); }
  std::vector<ReadOnlyCollection> ReadOnlyCollections() override;
  std::vector<DamagedCollection> DamagedCollections() override;

  absl::Status AddVersion(std::string_view collection, const VersionConfig& config,
                          std::string_view model_file) override {
    return upgrades_->Add(collection, config, model_file);
  }
  absl::Status PromoteVersion(std::string_view collection, std::string_view version, std::string_view expected_default,
                              bool force) override {
    return upgrades_->Promote(collection, version, expected_default, force);
  }
  absl::Status RetireVersion(std::string_view collection, std::string_view version) override {
    return upgrades_->Retire(collection, version);
  }
  absl::Status StartBackfill(std::string_view collection, std::string_view version, uint64_t documents_per_s) override {
    return upgrades_->StartBackfill(collection, version, documents_per_s);
  }
  absl::Status StopBackfill(std::string_view collection, std::string_view version) override {
    return upgrades_->StopBackfill(collection, version);
  }
  absl::StatusOr<VersionCheck> CheckVersion(std::string_view collection, const CheckRequest& request) override {
    return upgrades_->Check(collection, request);
  }

  absl::Status SetAlias(std::string_view alias, std::string_view collection,
                        std::optional<std::string_view> expected) override {
    return registry_->SetAlias(alias, collection, expected);
  }
  absl::Status DeleteAlias(std::string_view alias) override { return registry_->DeleteAlias(alias); }
  std::vector<Alias> ListAliases() override { return registry_->ListAliases(); }
  std::string Resolve(std::string_view name) override { return registry_->Resolve(name); }

  absl::StatusOr<SnapshotInfo> CreateSnapshot(std::string_view collection, std::string_view name) override {
    return backups_->Create(collection, name);
  }
  absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(std::string_view collection) override {
    return backups_->List(collection);
  }
  std::map<std::string, absl::Time> NewestSnapshots() override { return backups_->Newest(); }
  absl::Status RestoreSnapshot(std::string_view collection, std::string_view name,
                               std::string_view new_collection) override {
    return backups_->Restore(collection, name, new_collection);
  }
  absl::Status DeleteSnapshot(std::string_view collection, std::string_view name) override {
    return backups_->Remove(collection, name);
  }

  void Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) override {
    auto collection = registry_->Find(request.collection);
    if (!collection.ok()) return done(collection.status());
    if (absl::Status status = CheckRoom(); !status.ok()) return done(status);
    (*collection)->Upsert(std::move(request), std::move(done));
  }
  void Delete(std::string_view name, std::vector<std::string> ids,
              absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override {
    auto collection = registry_->Find(name);
    if (!collection.ok()) return done(collection.status());
    (*collection)->Delete(std::move(ids), std::move(done));
  }
  void DeleteByFilter(const FilteredDeletion& request,
                      absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override {
    auto collection = registry_->Find(request.collection);
    if (!collection.ok()) return done(collection.status());
    auto select =
        SelectByFilter(request.filter, kMaxFilteredDeletions, request.part, request.deadline, request.cancelled);
    if (!select.ok()) return done(select.status());
    (*collection)->ChangeSelected(*std::move(select), std::nullopt, std::move(done));
  }
  void UpdateAttributes(AttributeUpdate update, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override;
  absl::StatusOr<std::vector<Document>> Get(std::string_view name, absl::Span<const std::string> ids,
                                            bool with_embeddings) override {
    BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(name));
    return collection->Get(ids, with_embeddings);
  }
  absl::StatusOr<Page> Scroll(const PageRequest& request) override {
    BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(request.collection));
    BEBR_ASSIGN_OR_RETURN(const SeenView seen,
                          See(*collection, request.view_token, request.view_owner, request.keep_view));
    absl::StatusOr<Page> page = ReadPage(seen.pinned, request);
    if (!page.ok()) Unsee(*collection, seen);
    if (page.ok()) page->view_token = seen.token;
    return page;
  }
  absl::StatusOr<CountResult> Count(const CountRequest& request) override {
    BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(request.collection));
    const auto interrupted = [&request] { return Interrupted(request, SteadyNow()); };
    BEBR_ASSIGN_OR_RETURN(const FilteredSelection selection, Select(*collection->shards(), collection->shards()->view(),
                                                                    request.filter, request.strict, interrupted));
    if (request.part) return CountResult{.documents = selection.rows.count(), .filter_facts = selection.facts};
    return CountResult{.documents = selection.rows.count(), .warnings = selection.warnings};
  }
  absl::StatusOr<FacetResult> Facets(const FacetRequest& request) override {
    BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(request.collection));
    return CountValues(*collection->shards(), request);
  }
  absl::StatusOr<std::vector<float>> Recommend(const ExampleRequest& request) override {
    BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(request.collection));
    return QueryOf(collection->Now(), request);
  }
  void Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) override {
    auto collection = registry_->Find(request.collection);
    if (!collection.ok()) return done(collection.status());
    Query(*std::move(collection), std::move(request), *scheduler_, std::move(done));
  }

  void ReleaseView(const std::string& view_token) override { shared_.kept_views.Release(view_token); }

  EngineStats Stats() override;
  absl::StatusOr<MemoryUse> EstimateMemory(std::string_view name, uint64_t documents, double id_bytes,
                                           const AttributeLoad& attributes) override;

 private:
  absl::StatusOr<SearchResult> SearchNowAndWait(SearchRequest request);
  // For what makes the collections larger.
  absl::Status CheckRoom() {
    const auto used = static_cast<uint64_t>(shared_.commits.memory_bytes.load());
    BEBR_RETURN_IF_ERROR(capacity_.CheckMemory(used, shared_.kept_views.held_bytes()));
    return capacity_.CheckDisk();
  }

  const EngineOptions options_;  // as at the start
  const std::unique_ptr<DirectoryLock> lock_;
  Capacity capacity_;
  // Declared in the order in which they end, last first: shards encode on the shared pool to the end.
  EngineShared shared_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Backups> backups_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<Upgrades> upgrades_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<Caretaker> caretaker_;
  std::unique_ptr<Scrubber> scrubber_;
};

absl::Status EngineImpl::Initialize() {
  BEBR_ASSIGN_OR_RETURN(registry_, Registry::Open(options_.data_dir, &shared_));
  BEBR_ASSIGN_OR_RETURN(
      backups_, Backups::Open(options_.snapshot_dir.empty() ? options_.data_dir + "/snapshots" : options_.snapshot_dir,
                              registry_.get(), &capacity_));
  upgrades_ = std::make_unique<Upgrades>(
      registry_.get(), &capacity_, [this](SearchRequest request) { return SearchNowAndWait(std::move(request)); },
      options_.threads,
      RecallMonitor::Options{.interval = options_.recall_monitor_interval,
                             .queries = options_.recall_monitor_queries,
                             .documents_per_s = options_.recall_monitor_documents_per_s});
  learner_ = std::make_unique<Learner>(
      registry_.get(), upgrades_.get(), &capacity_,
      [this](SearchRequest request) { return SearchNowAndWait(std::move(request)); },
      Learner::Options{.first_documents = options_.auto_first_documents,
                       .pace = options_.auto_pace,
                       .documents_per_s = options_.recall_monitor_documents_per_s});
  BEBR_RETURN_IF_ERROR(registry_->Load());
  caretaker_ = std::make_unique<Caretaker>(registry_.get(), &shared_.kept_views);
  scrubber_ = std::make_unique<Scrubber>(registry_.get(), Scrubber::Options{.interval = options_.scrub_interval,
                                                                            .bytes_per_s = options_.scrub_bytes_per_s});
  upgrades_->Start();
  learner_->Start();
  return absl::OkStatus();
}

absl::StatusOr<SearchResult> EngineImpl::SearchNowAndWait(SearchRequest request) {
  auto outcome = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();  // shared: set_value may outlast get
  Search(std::move(request), [outcome](auto result) { outcome->set_value(std::move(result)); });
  return outcome->get_future().get();
}

absl::Status EngineImpl::CreateCollection(const CollectionConfig& config, std::string_view model_file) {
  BEBR_RETURN_IF_ERROR(capacity_.CheckDisk());
  BEBR_ASSIGN_OR_RETURN(NewCollection made, DescribeNew(config, model_file, options_.threads));
  BEBR_RETURN_IF_ERROR(capacity_.CheckFits(made.manifest, made.manifest.expected_documents, registry_->List()));
  return registry_->Create(std::move(made.manifest),
                           made.own_model_file.empty() ? model_file : std::string_view(made.own_model_file));
}

absl::StatusOr<CollectionInfo> EngineImpl::GetCollection(std::string_view name) {
  BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(name));
  const auto manifest = collection->manifest();
  CollectionInfo info = collection->Info();
  upgrades_->Describe(*manifest, info);
  learner_->Describe(*manifest, info);
  return info;
}

std::vector<std::string> EngineImpl::ListCollections() {
  std::vector<std::string> names;
  for (const auto& collection : registry_->List()) names.push_back(collection->manifest()->name);
  return names;
}

absl::StatusOr<MemoryUse> EngineImpl::EstimateMemory(std::string_view name, uint64_t documents, double id_bytes,
                                                     const AttributeLoad& attributes) {
  if (id_bytes != 0 && !(id_bytes >= 1 && id_bytes <= kMaxIdBytes)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("id_bytes is %g; it is 0 (for %g) or 1 to %d", id_bytes, kUsualIdBytes, kMaxIdBytes));
  }
  if (documents > kMaxExpectedDocuments) {
    return absl::InvalidArgumentError(
        absl::StrFormat("documents is %d; the limit is %d (2^40)", documents, kMaxExpectedDocuments));
  }
  BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(name));
  BEBR_RETURN_IF_ERROR(CheckLoad(attributes));
  MemoryUse use =
      bebr::EstimateMemory(*collection->manifest(), documents, id_bytes == 0 ? kUsualIdBytes : id_bytes, attributes);
  if (attributes.per_document == 0 && attributes.distinct_texts == 0) {
    use.attributes = static_cast<uint64_t>(static_cast<double>(documents) * AttributeBytesNow(*collection));
    use.total += use.attributes;
  }
  return use;
}

void EngineImpl::UpdateAttributes(AttributeUpdate update, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) {
  auto collection = registry_->Find(update.collection);
  if (!collection.ok()) return done(collection.status());
  const auto manifest = (*collection)->manifest();
  absl::Status status = CheckChange(manifest->attributes, update.change);
  status.Update(CheckRoom());
  if (!status.ok()) return done(status);
  if (!update.ids.empty() && !update.filter.empty()) {
    return done(absl::InvalidArgumentError("the request has ids and filter; set one of them"));
  }
  if (!update.ids.empty()) {
    return (*collection)->Update(std::move(update.ids), std::move(update.change), std::move(done));
  }
  auto select = SelectByFilter(update.filter, kMaxFilteredUpdates, update.part, update.deadline, update.cancelled);
  if (!select.ok()) return done(select.status());
  (*collection)->ChangeSelected(*std::move(select), std::move(update.change), std::move(done));
}

void AddSearches(const Scheduler& scheduler, EngineStats& stats) {
  const Scheduler::Counters& counters = scheduler.counters();
  stats.queries = counters.queries.load();
  stats.scans = counters.scans.load();
  stats.documents_scanned = counters.documents_scanned.load();
  stats.bytes_scanned = counters.bytes_scanned.load();
  stats.refused_queries = counters.refused_queries.load();
  stats.scan_us = counters.scan_us.load();
  stats.queued_queries = scheduler.queued_queries();
}

EngineStats EngineImpl::Stats() {
  EngineStats stats;
  AddSearches(*scheduler_, stats);
  stats.kept_views = shared_.kept_views.count();
  stats.kept_view_bytes = shared_.kept_views.held_bytes();
  stats.documents_upserted = shared_.documents_upserted.load();
  stats.documents_deleted = shared_.documents_deleted.load();
  stats.documents_reencoded = shared_.documents_reencoded.load();
  stats.refused_upserts = shared_.refused_upserts.load();
  stats.refused_memory = capacity_.refused_memory();
  stats.refused_disk = capacity_.refused_disk();
  stats.queued_upsert_bytes = shared_.queued_upsert_bytes.load();
  const DiskSpace space = DiskSpaceOf(options_.data_dir);
  stats.disk_free_bytes = space.free_bytes;
  stats.disk_total_bytes = space.total_bytes;
  stats.storage = SharedStats(*shared_.cache);
  stats.encode_us = shared_.encode_us.load();
  const RecallMonitor::Counters recall = upgrades_->recall_counters();
  stats.recall_measured = recall.measured;
  stats.recall_failed = recall.failed;
  scrubber_->AddTo(stats);
  stats.simd = simd::Kernels().name;
  stats.threads = options_.threads;
  stats.commit_us = shared_.commits.commit_us.load();
  stats.apply_us = shared_.commits.apply_us.load();
  stats.failed_commits = shared_.commits.failed_commits.load();
  stats.write_waits = shared_.commits.waits.counts();
  stats.commits = shared_.commits.commits.counts();
  stats.syncs = shared_.commits.syncs.counts();
  for (const auto& collection : registry_->List()) {
    const CollectionStore& store = collection->shards()->store();
    stats.failing_collections += store.health().ok() ? 0 : 1;
    store.AddStats(stats.storage);
  }
  return stats;
}

std::vector<ReadOnlyCollection> EngineImpl::ReadOnlyCollections() {
  std::vector<ReadOnlyCollection> result;
  for (const auto& collection : registry_->List()) {
    const absl::Status health = collection->shards()->store().health();
    if (!health.ok()) result.push_back({collection->manifest()->name, std::string(health.message())});
  }
  return result;
}

std::vector<DamagedCollection> EngineImpl::DamagedCollections() {
  std::vector<DamagedCollection> result;
  for (const auto& collection : registry_->List()) {
    if (const auto damage = collection->damage(); !damage.ok())
      result.push_back({collection->manifest()->name, std::string(damage.message())});
  }
  return result;
}

void LogTableChoice(const simd::TableChoice& choice) {
  std::string shape, measured;
  for (const simd::BandShape& band : absl::MakeSpan(choice.shape.bands, choice.shape.band_count)) {
    const bool all = band.left_out == 0;  // of what is scored; then a trellis code is named as it is stored
    absl::StrAppend(&shape, shape.empty() ? "" : "+", band.dims, "x",
                    all ? band.levels : band.scored_levels() - band.left_out, all && band.trellis ? "t" : "");
  }
  for (const simd::MeasuredTable& one : choice.measured)
    absl::StrAppend(&measured, measured.empty() ? "" : ", ", one.table->name, " ",
                    absl::StrFormat("%.3f", one.ns_per_score));
  LogInfo("codes {} in batches of about {} are scanned by {} (ns a score: {})", shape, choice.query_count,
          choice.chosen.name, measured);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(EngineOptions options) {
  simd::TellChoicesTo(LogTableChoice);
  if (options.data_dir.empty())
    return absl::InvalidArgumentError("data_dir is empty; name the directory that holds the collections");
  if (options.threads == 0) options.threads = AvailableProcessors();
  BEBR_RETURN_IF_ERROR(CreateDirectories(options.data_dir));
  BEBR_ASSIGN_OR_RETURN(auto lock, DirectoryLock::Acquire(options.data_dir));
  auto engine = std::make_unique<EngineImpl>(std::move(options), std::move(lock));
  BEBR_RETURN_IF_ERROR(engine->Initialize());
  return engine;
}

}  // namespace bebr
