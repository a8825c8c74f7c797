#include "index/collection/backups.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/status_macros.h"
#include "index/storage/collection_store.h"
#include "index/storage/files.h"
#include "index/storage/table_check.h"

namespace bebr {

absl::StatusOr<std::unique_ptr<Backups>> Backups::Open(std::string directory, Registry* registry, Capacity* capacity) {
  BEBR_ASSIGN_OR_RETURN(auto snapshots, Snapshots::Open(std::move(directory)));
  return std::unique_ptr<Backups>(new Backups(std::move(snapshots), registry, capacity));
}

absl::StatusOr<SnapshotInfo> Backups::Create(std::string_view name, std::string_view snapshot) {
  const absl::Time now = absl::Now();
  const std::string given =
      snapshot.empty() ? absl::FormatTime("%Y%m%d-%H%M%S", now, absl::UTCTimeZone()) : std::string(snapshot);
  BEBR_RETURN_IF_ERROR(ValidateName("snapshot", given));
  SnapshotInfo created;
  // Nobody changes the collection meanwhile, so the manifest stays what the shards follow.
  BEBR_RETURN_IF_ERROR(registry_->Hold(name, [&](const Collection& collection) -> absl::Status {
    const auto manifest = collection.manifest();
    SnapshotInfo info{.collection = manifest->name, .name = given, .created = now};
    const auto fill = [&](const std::string& path) -> absl::Status {
      BEBR_RETURN_IF_ERROR(WriteManifest(path, *manifest));
      BEBR_ASSIGN_OR_RETURN(info.documents, collection.Checkpoint(path));
      return absl::OkStatus();
    };
    auto made = snapshots_->Create(info, registry_->PathOf(collection), fill);
    // The time names only the first of a second.
    for (int n = 2; snapshot.empty() && absl::IsAlreadyExists(made.status()); ++n) {
      info.name = absl::StrCat(given, "-", n);
      made = snapshots_->Create(info, registry_->PathOf(collection), fill);
    }
    if (!made.ok()) return made.status();
    created = *std::move(made);
    return absl::OkStatus();
  }));
  UpdateNewest(created.collection);
  return created;
}

absl::StatusOr<uint64_t> Backups::CopyTo(std::string_view name, const std::string& directory) {
  uint64_t documents = 0;
  BEBR_RETURN_IF_ERROR(registry_->Hold(name, [&](const Collection& collection) -> absl::Status {
    BEBR_RETURN_IF_ERROR(CreateDirectories(directory));
    BEBR_RETURN_IF_ERROR(Snapshots::CopyModels(registry_->PathOf(collection), directory));
    BEBR_RETURN_IF_ERROR(WriteManifest(directory, *collection.manifest()));
    BEBR_ASSIGN_OR_RETURN(documents, collection.Checkpoint(directory));
    return absl::OkStatus();
  }));
  return documents;
}

absl::Status Backups::Keep(const SnapshotInfo& info, const std::string& directory) {
  const auto there = snapshots_->Info(info.collection, info.name);
  if (there.ok() && there->position == info.position) return absl::OkStatus();
  if (there.ok() && there->position == 0) {
    return absl::AlreadyExistsError(
        absl::StrFormat("collection \"%s\" has a snapshot \"%s\" already, which this server made by itself",
                        info.collection, info.name));
  }
  if (absl::IsUnavailable(there.status())) return there.status();
  if (!absl::IsNotFound(there.status())) BEBR_RETURN_IF_ERROR(Remove(info.collection, info.name));
  const auto fill = [&](const std::string& path) { return CopyDirectory(directory, path, ".sst"); };
  BEBR_RETURN_IF_ERROR(snapshots_->Create(info, /*from=*/"", fill).status());
  UpdateNewest(info.collection);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Backups::PathOf(const SnapshotInfo& which) const {
  BEBR_ASSIGN_OR_RETURN(const SnapshotInfo info, snapshots_->Info(which.collection, which.name));
  const bool same =
      info.position == which.position && info.first_slot == which.first_slot && info.last_slot == which.last_slot;
  if (same) return snapshots_->Find(which.collection, which.name);
  return absl::NotFoundError(absl::StrFormat(
      "snapshot \"%s\" of collection \"%s\" here is of position %d and slots %d-%d, not of position %d and slots %d-%d",
      which.name, which.collection, info.position, info.first_slot, info.last_slot, which.position, which.first_slot,
      which.last_slot));
}

absl::Status Backups::CheckFits(const SnapshotInfo& which, Capacity& capacity) const {
  BEBR_ASSIGN_OR_RETURN(const std::string path, PathOf(which));
  BEBR_ASSIGN_OR_RETURN(const CollectionManifest manifest, ReadManifest(path));
  BEBR_ASSIGN_OR_RETURN(const SnapshotInfo info, snapshots_->Info(which.collection, which.name));
  BEBR_RETURN_IF_ERROR(capacity.CheckDisk());
  return capacity.CheckFits(manifest, std::max(manifest.expected_documents, info.documents), registry_->List());
}

absl::Status Backups::CheckCopy(const std::string& directory) {
  BEBR_RETURN_IF_ERROR(ReadManifest(directory).status());
  for (const absl::Status& damage : VerifyStore(StorePath(directory))) BEBR_RETURN_IF_ERROR(damage);
  return absl::OkStatus();
}

absl::Status Backups::RestoreCopy(std::string_view name, const std::string& directory) {
  BEBR_ASSIGN_OR_RETURN(CollectionManifest manifest, ReadManifest(directory));
  manifest.name = name;
  return registry_->Restore(std::move(manifest), directory);
}

absl::Status Backups::Remove(std::string_view collection, std::string_view name) {
  MutexLock lock(&restore_mutex_);
  const absl::Status removed = snapshots_->Remove(collection, name);
  if (!absl::IsInvalidArgument(removed)) UpdateNewest(std::string(collection));
  return removed;
}

void Backups::UpdateNewest(const std::string& collection) {
  MutexLock update(&update_mutex_);
  const absl::Time time = snapshots_->NewestOf(collection);
  MutexLock lock(&newest_mutex_);
  if (time == absl::InfinitePast()) {
    newest_.erase(collection);
  } else {
    newest_[collection] = time;
  }
}

absl::Status Backups::Restore(std::string_view name, std::string_view snapshot, std::string_view new_collection) {
  BEBR_RETURN_IF_ERROR(ValidateName("new_collection", new_collection));
  MutexLock lock(&restore_mutex_);
  BEBR_ASSIGN_OR_RETURN(const std::string path, snapshots_->Find(name, snapshot));
  BEBR_RETURN_IF_ERROR(Snapshots::Verify(path));
  BEBR_ASSIGN_OR_RETURN(CollectionManifest manifest, ReadManifest(path));
  manifest.name = new_collection;
  for (Version& version : manifest.versions) version.backfilling = false;  // who wants it starts it
  BEBR_ASSIGN_OR_RETURN(const SnapshotInfo info, snapshots_->Info(name, snapshot));
  BEBR_RETURN_IF_ERROR(
      capacity_->CheckFits(manifest, std::max(manifest.expected_documents, info.documents), registry_->List()));
  return registry_->Restore(std::move(manifest), path);
}

}  // namespace bebr
