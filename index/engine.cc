#include "index/engine.h"

#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/engine_impl.h"
#include "index/log_engine.h"
#include "index/request/new_collection.h"
#include "index/simd/choice.h"
#include "index/simd/kernels.h"
#include "index/storage/files.h"

namespace bebr {

absl::Status EngineImpl::Initialize() {
  BEBR_ASSIGN_OR_RETURN(registry_, Registry::Open(options_.data_dir, &shared_));
  BEBR_ASSIGN_OR_RETURN(
      backups_, Backups::Open(options_.snapshot_dir.empty() ? options_.data_dir + "/snapshots" : options_.snapshot_dir,
                              registry_.get(), limits_of_changes()));
  upgrades_ = std::make_unique<Upgrades>(
      registry_.get(), limits_of_changes(),
      [this](SearchRequest request) { return SearchNowAndWait(std::move(request)); }, options_.threads,
      RecallMonitor::Options{.interval = options_.recall_monitor_interval,
                             .queries = options_.recall_monitor_queries,
                             .documents_per_s = options_.recall_monitor_documents_per_s});
  learner_ = std::make_unique<Learner>(
      registry_.get(), upgrades_.get(), limits_of_changes(),
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
  BEBR_RETURN_IF_ERROR(limits_of_changes()->CheckDisk());
  BEBR_ASSIGN_OR_RETURN(NewCollection made, DescribeNew(config, model_file, options_.threads));
  BEBR_RETURN_IF_ERROR(
      limits_of_changes()->CheckFits(made.manifest, made.manifest.expected_documents, registry_->List()));
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
    return done(absl::InvalidArgumentError("filter is set, and ids too; set one of them"));
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

namespace {

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

// An engine of the kind `Impl`, opened.
template <typename Impl>
absl::StatusOr<std::unique_ptr<Impl>> OpenAs(EngineOptions options) {
  simd::TellChoicesTo(LogTableChoice);
  if (options.data_dir.empty())
    return absl::InvalidArgumentError("data_dir is empty; name the directory that holds the collections");
  if (options.threads == 0) options.threads = AvailableProcessors();
  BEBR_RETURN_IF_ERROR(CreateDirectories(options.data_dir));
  BEBR_ASSIGN_OR_RETURN(auto lock, DirectoryLock::Acquire(options.data_dir));
  auto engine = std::make_unique<Impl>(std::move(options), std::move(lock));
  BEBR_RETURN_IF_ERROR(engine->Initialize());
  return engine;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(EngineOptions options) {
  return OpenAs<EngineImpl>(std::move(options));
}

absl::StatusOr<LogEngine::Opened> LogEngine::Open(EngineOptions options) {
  BEBR_ASSIGN_OR_RETURN(auto engine, OpenAs<LogEngineImpl>(std::move(options)));
  LogEngine* log = engine.get();
  return Opened{std::move(engine), log};
}

}  // namespace bebr
