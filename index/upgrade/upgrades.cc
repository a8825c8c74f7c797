#include "index/upgrade/upgrades.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/own_error.h"
#include "index/base/status_macros.h"
#include "index/upgrade/version_check.h"
#include "index/upgrade/versions.h"

namespace bebr {
namespace {

// FAILED_PRECONDITION unless there is something to encode again.
absl::Status CheckHasFloats(const Collection& collection, const CollectionManifest& manifest, const Version& version) {
  if (manifest.store_floats == FloatStorage::kNone) {
    return absl::FailedPreconditionError(
        absl::StrFormat("collection \"%s\" stores no floats, so the server has nothing to encode again; write the new "
                        "embeddings with an "
                        "upsert of mode merge (bebr import --merge)",
                        manifest.name));
  }
  if (collection.documents() > 0 && collection.DocumentsWithEmbedding(version.embedding) == 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("no document has stored floats that version \"%s\" takes; write the new embeddings with an "
                        "upsert of mode merge "
                        "(bebr import --merge), or add the version with same_embeddings_as if it is another binarizer "
                        "for embeddings that "
                        "are stored",
                        version.name));
  }
  return absl::OkStatus();
}

}  // namespace

Upgrades::Upgrades(Registry* registry, Capacity* capacity, SearchNow search, size_t threads,
                   RecallMonitor::Options monitor)
    : registry_(registry),
      capacity_(capacity),
      search_(std::move(search)),
      threads_(threads),
      monitor_options_(monitor) {}

Upgrades::~Upgrades() {
  monitor_.reset();
  StopBackfills("", "");
}

void Upgrades::Start() {
  for (const auto& collection : registry_->List()) {
    const auto manifest = collection->manifest();  // lives as long as the loop
    for (const Version& version : manifest->versions) {
      if (!version.backfilling || version.retired) continue;
      LogInfo("collection {}: going on with the backfill of version {}", collection->manifest()->name, version.name);
      MutexLock unchanged(&collection->change_mutex());
      RunBackfill(collection, version);
    }
  }
  if (monitor_options_.interval <= absl::ZeroDuration()) return;
  monitor_ = std::make_unique<RecallMonitor>(
      monitor_options_, [this] { return registry_->List(); }, search_);
}

absl::Status Upgrades::Add(std::string_view name, const VersionConfig& config, std::string_view model_file) {
  BEBR_RETURN_IF_ERROR(capacity_->CheckDisk());
  BEBR_RETURN_IF_ERROR(ValidateName("version", config.name));
  auto binarizer = Binarizer::Parse(model_file);
  if (!binarizer.ok()) return absl::InvalidArgumentError(absl::StrFormat("model: %s", binarizer.status().message()));
  const auto edit = [&](const Collection& collection, CollectionManifest& manifest) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(manifest, WithVersion(std::move(manifest), config, *std::move(binarizer)));
    return capacity_->CheckFits(manifest, std::max(manifest.expected_documents, collection.documents()),
                                registry_->List());
  };
  return registry_->Change(name, edit, model_file);
}

absl::Status Upgrades::Promote(std::string_view name, std::string_view version, std::string_view expected_default,
                               bool force) {
  if (version.empty()) return absl::InvalidArgumentError("version is empty; name the version to promote");
  return registry_->Change(name, [&](const Collection& collection, CollectionManifest& manifest) -> absl::Status {
    if (!expected_default.empty() && expected_default != manifest.default_version) {
      return absl::FailedPreconditionError(
          absl::StrFormat("the default version is \"%s\", not \"%s\": somebody has changed it meanwhile",
                          manifest.default_version, expected_default));
    }
    BEBR_ASSIGN_OR_RETURN(const Version* promoted, manifest.FindVersion(version));
    const uint64_t documents = collection.documents(), coded = collection.DocumentsInSpace(promoted->space);
    if (!force && coded < documents) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "version \"%s\" is not ready: %d of %d documents have no code in its space, so searches would not find them; "
          "backfill it, or write their embeddings, first; or force it",
          version, documents - coded, documents));
    }
    if (manifest.default_version == version) return absl::OkStatus();
    manifest.previous_default = manifest.default_version;
    manifest.default_version = version;
    // What was measured is another version's.
    if (manifest.auto_record.has_value() && manifest.auto_record->measures_rerank) {
      manifest.default_rerank = std::max(manifest.default_rerank, kUnmeasuredRerank);
    }
    return absl::OkStatus();
  });
}

absl::Status Upgrades::Retire(std::string_view name, std::string_view version) {
  if (version.empty()) return absl::InvalidArgumentError("version is empty; name the version to retire");
  BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(name));
  Version retired;
  const auto edit = [&](const Collection& changed, CollectionManifest& manifest) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(const Version* found, manifest.FindVersion(version));
    retired = *found;
    BEBR_ASSIGN_OR_RETURN(manifest, WithoutVersion(changed, version));
    return absl::OkStatus();
  };
  const std::string collection_name = collection->manifest()->name;
  BEBR_RETURN_IF_ERROR(registry_->Change(collection_name, edit));
  StopBackfills(collection_name, version);
  return OwnError(collection->DropVersion(retired));
}

void Upgrades::RunBackfill(const std::shared_ptr<Collection>& collection, const Version& version) {
  const Key key(collection->manifest()->name, version.name);
  auto backfill = std::make_shared<Backfill>(collection, version, version.backfill_documents_per_s,
                                             [this, key](const Backfill* ended) { return EndBackfill(key, ended); });
  MutexLock lock(&mutex_);
  backfills_[key] = std::move(backfill);
}

bool Upgrades::EndBackfill(const Key& key, const Backfill* ended) {
  const auto edit = [&](const Collection&, CollectionManifest& manifest) -> absl::Status {
    // Started again meanwhile, or stopped: then it is not this one's end that counts.
    if (!IsCurrent(key, ended)) return absl::CancelledError();
    BEBR_ASSIGN_OR_RETURN(const Version* version, manifest.FindVersion(key.second));
    manifest.versions[version->number].backfilling = false;
    return absl::OkStatus();
  };
  const absl::Status status = registry_->Change(key.first, edit);
  if (status.ok() || absl::IsCancelled(status) || absl::IsNotFound(status)) return true;
  LogError("the end of a backfill cannot be recorded yet: {}", status.ToString());
  return false;
}

bool Upgrades::IsCurrent(const Key& key, const Backfill* backfill) const {
  MutexLock lock(&mutex_);
  const auto found = backfills_.find(key);
  return found != backfills_.end() && found->second.get() == backfill;
}

std::shared_ptr<Backfill> Upgrades::FindBackfill(const Key& key) const {
  MutexLock lock(&mutex_);
  const auto found = backfills_.find(key);
  return found == backfills_.end() ? nullptr : found->second;
}

void Upgrades::StopBackfills(std::string_view collection, std::string_view version) {
  std::vector<std::shared_ptr<Backfill>> stopped;  // ended here, outside the lock
  MutexLock lock(&mutex_);
  std::erase_if(backfills_, [&](auto& entry) {
    if (!collection.empty() && entry.first.first != collection) return false;
    if (!version.empty() && entry.first.second != version) return false;
    stopped.push_back(std::move(entry.second));
    return true;
  });
}

absl::Status Upgrades::StartBackfill(std::string_view name, std::string_view version, uint64_t documents_per_s) {
  if (version.empty()) return absl::InvalidArgumentError("version is empty; name the version to backfill");
  BEBR_RETURN_IF_ERROR(capacity_->CheckDisk());
  BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(name));
  bool was_running = false;
  Version started;
  const auto edit = [&](const Collection& changed, CollectionManifest& manifest) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(const Version* found, manifest.FindVersion(version));
    BEBR_RETURN_IF_ERROR(CheckHasFloats(changed, manifest, *found));
    Version& backfilled = manifest.versions[found->number];
    was_running = backfilled.backfilling;
    backfilled.backfilling = true;
    backfilled.backfill_documents_per_s = documents_per_s;
    started = backfilled;
    return absl::OkStatus();
  };
  const std::string collection_name = collection->manifest()->name;
  std::shared_ptr<Backfill> old;  // ends here: its thread may wait for the change to be over
  const auto start = [&] {
    old = FindBackfill({collection_name, started.name});
    if (was_running && old != nullptr && old->info().running) {
      old->SetLimit(documents_per_s);
    } else {
      RunBackfill(collection, started);
    }
  };
  return registry_->Change(collection_name, edit, "", start);
}

absl::Status Upgrades::StopBackfill(std::string_view name, std::string_view version) {
  if (version.empty()) return absl::InvalidArgumentError("version is empty; name the version");
  BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(name));
  const std::string collection_name = collection->manifest()->name;
  const auto edit = [&](const Collection&, CollectionManifest& manifest) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(const Version* found, manifest.FindVersion(version));
    if (!found->backfilling) {
      return absl::FailedPreconditionError(absl::StrFormat("no backfill of version \"%s\" is running", version));
    }
    manifest.versions[found->number].backfilling = false;
    return absl::OkStatus();
  };
  BEBR_RETURN_IF_ERROR(registry_->Change(collection_name, edit));
  StopBackfills(collection_name, version);
  return absl::OkStatus();
}

absl::StatusOr<VersionCheck> Upgrades::Check(std::string_view name, const CheckRequest& request) {
  BEBR_ASSIGN_OR_RETURN(const auto collection, registry_->Find(name));
  const ReadingPace pace{
      .threads = threads_, .spend = nullptr, .deadline = request.deadline, .cancelled = request.cancelled};
  BEBR_ASSIGN_OR_RETURN(VersionCheck check, CompareVersions(*collection, request, search_, pace));
  const auto edit = [&](const Collection&, CollectionManifest& manifest) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(const Version* found, manifest.FindVersion(request.version));
    manifest.versions[found->number].check = check;
    return absl::OkStatus();
  };
  BEBR_RETURN_IF_ERROR(registry_->Change(collection->manifest()->name, edit));
  return check;
}

void Upgrades::Describe(const CollectionManifest& manifest, CollectionInfo& info) const {
  for (size_t v = 0; v < info.versions.size(); ++v) {
    VersionInfo& version = info.versions[v];
    if (monitor_ != nullptr && version.state != VersionState::kRetired) {
      version.recall = monitor_->Last(info.name, version.name);
    }
    const auto backfill = FindBackfill({info.name, version.name});
    if (backfill == nullptr) continue;
    version.backfill = backfill->info();
    // Done is what the catalogue says is done: who waits for the end finds the version's new state.
    const bool recorded = v >= manifest.versions.size() || !manifest.versions[v].backfilling;
    if (!recorded && version.backfill->error.empty()) version.backfill->running = true;
  }
}

std::optional<RecallSample> Upgrades::LastRecall(const std::string& collection, const std::string& version) const {
  return monitor_ == nullptr ? std::nullopt : monitor_->Last(collection, version);
}

RecallMonitor::Counters Upgrades::recall_counters() const {
  return monitor_ == nullptr ? RecallMonitor::Counters{} : monitor_->counters();
}

}  // namespace bebr
