#include "index/follow/kept_snapshots.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/catalog/snapshots.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

void RemoveOrTell(const std::string& directory) {
  const absl::Status removed = RemoveAll(directory);
  if (!removed.ok()) LogWarning("what was made of a snapshot is left: {}", std::string(removed.message()));
}

}  // namespace

KeptSnapshots::KeptSnapshots(LogEngine* engine, const std::string& data_dir, uint32_t first_slot, uint32_t last_slot)
    : engine_(*engine),
      root_(data_dir + "/snapshot"),
      fetching_(root_ + "/fetched"),
      first_slot_(first_slot),
      last_slot_(last_slot) {
  RemoveOrTell(root_);
}

KeptSnapshots::~KeptSnapshots() { ending_ = true; }

void KeptSnapshots::Begin(SnapshotInfo which) {
  which = Own(std::move(which));
  if (engine_.PathOfSnapshot(which).ok()) return;  // as it was made before a crash
  const std::string directory = absl::StrFormat("%s/%d", root_, which.position);
  const absl::Status ready = CreateDirectories(root_);
  const auto copied = ready.ok() ? engine_.CopyTo(which.collection, directory) : absl::StatusOr<uint64_t>(ready);
  if (!copied.ok()) {
    RemoveOrTell(directory);
    return Miss(std::move(which), copied.status().message());
  }
  which.documents = *copied;
  {
    MutexLock lock(&mutex_);
    making_[KeyOf(which)] = which;
  }
  maker_.Submit([this, which, directory] { Make(which, directory); });
}

void KeptSnapshots::Make(const SnapshotInfo& which, const std::string& directory) {
  const absl::Status made =
      ending_ ? absl::UnavailableError("the node is stopping") : engine_.KeepSnapshot(which, directory);
  RemoveOrTell(directory);
  if (!made.ok()) Miss(which, made.message());
  MutexLock lock(&mutex_);
  making_.erase(KeyOf(which));
  made_.NotifyAll();
}

void KeptSnapshots::Miss(SnapshotInfo which, absl::string_view why) {
  LogWarning("snapshot {} of collection {} is not made here: {}", which.name, which.collection, std::string(why));
  which.problem = std::string(why);
  MutexLock lock(&mutex_);
  missed_.push_back(std::move(which));
  if (missed_.size() > kMostMissed) missed_.pop_front();
}

void KeptSnapshots::AwaitMade(const SnapshotInfo& which) {
  MutexLock lock(&mutex_);
  while (making_.contains(KeyOf(which))) made_.Wait(&mutex_);
}

void KeptSnapshots::Remove(const SnapshotInfo& which) {
  AwaitMade(which);
  {
    MutexLock lock(&mutex_);
    std::erase_if(missed_, [&](const SnapshotInfo& missed) { return KeyOf(missed) == KeyOf(which); });
    checked_.erase(KeyOf(which));
  }
  if (!engine_.PathOfSnapshot(Own(which)).ok()) return;
  const absl::Status removed = engine_.engine().DeleteSnapshot(which.collection, which.name);
  if (removed.ok() || absl::IsNotFound(removed)) return;
  LogWarning("snapshot {} of collection {} was dropped and is left here: {}", which.name, which.collection,
             std::string(removed.message()));
}

absl::StatusOr<std::vector<ReplicaSnapshot>> KeptSnapshots::List(const std::string& collection) {
  std::vector<ReplicaSnapshot> all;
  {
    // First what is being made: what ends meanwhile is there then.
    MutexLock lock(&mutex_);
    for (const auto& [key, info] : making_) all.push_back({.info = info, .making = true});
    for (const SnapshotInfo& info : missed_) all.push_back({.info = info});
  }
  std::erase_if(all,
                [&](const ReplicaSnapshot& one) { return !collection.empty() && one.info.collection != collection; });
  BEBR_ASSIGN_OR_RETURN(std::vector<SnapshotInfo> infos, engine_.engine().ListSnapshots(collection));
  for (SnapshotInfo& info : infos) {
    if (info.position == 0) continue;
    if (info.first_slot != first_slot_ || info.last_slot != last_slot_) {
      info.problem = absl::StrFormat("it has the documents of slots %d-%d, and the node those of %d-%d",
                                     info.first_slot, info.last_slot, first_slot_, last_slot_);
    }
    all.push_back({.info = std::move(info)});
  }
  return all;
}

absl::StatusOr<std::string> KeptSnapshots::PathOf(const SnapshotInfo& which) {
  AwaitMade(which);
  return engine_.PathOfSnapshot(Own(which));
}

absl::Status KeptSnapshots::Check(const SnapshotInfo& which) {
  BEBR_ASSIGN_OR_RETURN(const std::string path, PathOf(which));
  {
    MutexLock lock(&mutex_);
    const auto checked = checked_.find(KeyOf(which));
    if (checked != checked_.end() && SteadyNow() < checked->second + kCheckHolds) return absl::OkStatus();
  }
  BEBR_RETURN_IF_ERROR(Snapshots::Verify(path));
  MutexLock lock(&mutex_);
  checked_[KeyOf(which)] = SteadyNow();
  return absl::OkStatus();
}

absl::Status KeptSnapshots::CheckRestorable(const SnapshotInfo& which) {
  BEBR_RETURN_IF_ERROR(Check(which));
  return engine_.CheckSnapshotFits(Own(which));
}

absl::Status KeptSnapshots::Restore(const SnapshotInfo& which, std::string_view new_collection) {
  BEBR_ASSIGN_OR_RETURN(const std::string path, PathOf(which));
  return engine_.RestoreCopy(new_collection, path);
}

absl::Status KeptSnapshots::TakeOver(const SnapshotInfo& which, const std::string& directory) {
  BEBR_RETURN_IF_ERROR(Snapshots::Verify(directory));
  BEBR_ASSIGN_OR_RETURN(const SnapshotInfo info, Snapshots::Read(directory, which.collection, which.name));
  const SnapshotInfo own = Own(which);
  if (info.position != own.position || info.first_slot != own.first_slot || info.last_slot != own.last_slot)
    return absl::DataLossError("what came is another snapshot");
  // What is here of it is damaged.
  if (engine_.PathOfSnapshot(own).ok())
    BEBR_RETURN_IF_ERROR(engine_.engine().DeleteSnapshot(which.collection, which.name));
  BEBR_RETURN_IF_ERROR(engine_.KeepSnapshot(info, directory));
  RemoveOrTell(fetching_);
  MutexLock lock(&mutex_);
  std::erase_if(missed_, [&](const SnapshotInfo& missed) { return KeyOf(missed) == KeyOf(which); });
  return absl::OkStatus();
}

}  // namespace bebr
