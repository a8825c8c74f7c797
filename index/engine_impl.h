// The engine of one data directory: the class behind engine.h and log_engine.h.
#ifndef BEBR_INDEX_ENGINE_IMPL_H_
#define BEBR_INDEX_ENGINE_IMPL_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "index/base/status_macros.h"
#include "index/collection/backups.h"
#include "index/collection/capacity.h"
#include "index/collection/caretaker.h"
#include "index/collection/engine_shared.h"
#include "index/collection/registry.h"
#include "index/collection/scrubber.h"
#include "index/engine.h"
#include "index/learn/learner.h"
#include "index/log_engine.h"
#include "index/request/filtered_write.h"
#include "index/request/page.h"
#include "index/request/query.h"
#include "index/request/recommend.h"
#include "index/request/seen_view.h"
#include "index/search/browse.h"
#include "index/search/scheduler.h"
#include "index/search/search_job.h"
#include "index/storage/files.h"
#include "index/upgrade/upgrades.h"

namespace bebr {

// Delegates: the registry knows the collections, the scheduler searches them, the rest is named after what it does.
class EngineImpl : public Engine {
 public:
  // `from_log`: as of LogEngine.
  EngineImpl(EngineOptions options, std::unique_ptr<DirectoryLock> lock, bool from_log = false)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        capacity_(options_.data_dir),
        no_limits_(options_.data_dir, /*unlimited=*/true),
        shared_(options_.threads, options_.max_queued_upsert_bytes, from_log),
        scheduler_(std::make_unique<Scheduler>(options_.threads, options_.max_queued_queries)) {
    shared_.cache = MakeStoreCache(options_.block_cache_bytes, options_.write_buffer_bytes);
    capacity_.SetLimits(options_.memory_limit_bytes, options_.min_free_disk_bytes);
    shared_.kept_views.SetMost(options_.max_kept_views);
  }

  ~EngineImpl() override {
    EndCompactions();  // of what is dropped in the background
    scrubber_.reset();
    caretaker_.reset();
    learner_.reset();
    upgrades_.reset();   // its searches still end
    scheduler_.reset();  // ends searches, which hold shards
    shared_.kept_views.Clear();
  }

  absl::Status Initialize();
  void EndBy(absl::Duration time) override {
    shared_.end_by = time;
    EndCompactions();
  }
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

 protected:
  Registry& registry() { return *registry_; }
  Backups& backups() { return *backups_; }
  EngineShared& shared() { return shared_; }
  Capacity& capacity() { return capacity_; }
  // For what makes the collections larger.
  absl::Status CheckRoom() {
    const auto used = static_cast<uint64_t>(shared_.commits.memory_bytes.load());
    BEBR_RETURN_IF_ERROR(capacity_.CheckMemory(used, shared_.kept_views.held_bytes()));
    return capacity_.CheckDisk();
  }

 private:
  // Of those that are open, and of those that are opened from now on.
  void EndCompactions() {
    shared_.ending = true;
    if (registry_ == nullptr) return;
    for (const auto& collection : registry_->List()) collection->shards()->store().EndCompactions();
  }
  absl::StatusOr<SearchResult> SearchNowAndWait(SearchRequest request);
  // What a log says is done, wherever there is room for it or not.
  Capacity* limits_of_changes() { return shared_.from_log ? &no_limits_ : &capacity_; }

  const EngineOptions options_;  // as at the start
  const std::unique_ptr<DirectoryLock> lock_;
  Capacity capacity_;
  Capacity no_limits_;
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

// What LogEngine::Open opens.
class LogEngineImpl final : public EngineImpl, public LogEngine {
 public:
  LogEngineImpl(EngineOptions options, std::unique_ptr<DirectoryLock> lock)
      : EngineImpl(std::move(options), std::move(lock), /*from_log=*/true) {}

  Engine& engine() override { return *this; }
  void Prepare(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<PreparedMutations>)> done) override;
  absl::StatusOr<CodesOfStored> PrepareBackfill(std::string_view collection, std::string_view version,
                                                std::string_view after, size_t most_documents) override;
  absl::Status CheckRoomFor(std::string_view collection, const AttributeChange& change) override;
  absl::Status CheckUpdate(std::string_view collection, AttributeChange& change) override;
  absl::StatusOr<std::string> Applied(std::string_view collection) override;
  absl::StatusOr<std::vector<MutationResult>> Apply(std::string_view collection, std::vector<LoggedRequest> requests,
                                                    std::string_view applied) override;
  absl::StatusOr<MutationResult> ApplyToSelected(std::string_view collection, const std::string& filter,
                                                 std::optional<AttributeChange> change,
                                                 std::string_view applied) override;
  absl::StatusOr<std::unique_ptr<SeenCollection>> See(std::string_view collection) override;
  absl::StatusOr<uint64_t> CopyTo(std::string_view collection, const std::string& directory) override {
    return backups().CopyTo(collection, directory);
  }
  absl::Status CheckCopy(const std::string& directory) override { return Backups::CheckCopy(directory); }
  absl::Status RestoreCopy(std::string_view collection, const std::string& directory) override {
    return backups().RestoreCopy(collection, directory);
  }
  absl::Status KeepSnapshot(const SnapshotInfo& info, const std::string& directory) override {
    return backups().Keep(info, directory);
  }
  absl::StatusOr<std::string> PathOfSnapshot(const SnapshotInfo& which) override { return backups().PathOf(which); }
  absl::Status CheckSnapshotFits(const SnapshotInfo& which) override { return backups().CheckFits(which, capacity()); }
};

}  // namespace bebr

#endif  // BEBR_INDEX_ENGINE_IMPL_H_
