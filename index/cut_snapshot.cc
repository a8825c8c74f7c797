#include "index/cut_snapshot.h"

#include <algorithm>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "index/log_engine.h"
#include "index/storage/files.h"
#include "index/types/cluster.h"

namespace bebr {
namespace {

absl::Status DeleteAll(Engine& engine, const std::string& collection, std::vector<std::string> ids) {
  if (ids.empty()) return absl::OkStatus();
  auto deleted = std::make_shared<std::promise<absl::Status>>();  // shared: set_value may outlast get
  engine.Delete(collection, std::move(ids),
                [deleted](const absl::StatusOr<ChangeResult>& result) { deleted->set_value(result.status()); });
  return deleted->get_future().get();
}

// Leaves the documents of the slots.
absl::Status DeleteOthers(Engine& engine, const SnapshotCut& cut) {
  PageRequest request{.collection = cut.collection, .limit = std::min(kMaxPageDocuments, kMaxDocumentsPerRequest)};
  do {
    BEBR_ASSIGN_OR_RETURN(const Page page, engine.Scroll(request));
    std::vector<std::string> others;
    for (const PageDocument& one : page.documents) {
      const uint64_t slot = StableHash(one.document.id) % kClusterSlots;
      if (slot < cut.first_slot || slot > cut.last_slot) others.push_back(one.document.id);
    }
    BEBR_RETURN_IF_ERROR(DeleteAll(engine, cut.collection, std::move(others)));
    request.after = page.next;
  } while (!request.after.empty());
  return absl::OkStatus();
}

// A collection in a directory of its own, of the slots' documents; what the snapshot says.
absl::StatusOr<SnapshotInfo> Restore(const SnapshotCut& cut, const std::string& scratch) {
  const std::string snapshots = cut.snapshot_dir.empty() ? cut.data_dir + "/snapshots" : cut.snapshot_dir;
  BEBR_ASSIGN_OR_RETURN(const auto engine, Engine::Open({.data_dir = scratch, .snapshot_dir = snapshots}));
  BEBR_ASSIGN_OR_RETURN(const auto infos, engine->ListSnapshots(cut.collection));
  const auto info = std::find_if(infos.begin(), infos.end(), [&](const auto& one) { return one.name == cut.snapshot; });
  if (info != infos.end() && info->position != 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("snapshot \"%s\" of collection \"%s\" is a cluster's already, of slots %d-%d", cut.snapshot,
                        cut.collection, info->first_slot, info->last_slot));
  }
  BEBR_RETURN_IF_ERROR(engine->RestoreSnapshot(cut.collection, cut.snapshot, cut.collection));
  if (info == infos.end()) return absl::InternalError("a snapshot was restored that is not there");
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo collection, engine->GetCollection(cut.collection));
  if (collection.auto_info.has_value()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the server makes the binarizers of collection \"%s\" itself, and nodes of a cluster would make others, whose "
        "codes cannot be compared: train one (bebr-train), and build the collection with its model file",
        cut.collection));
  }
  BEBR_RETURN_IF_ERROR(DeleteOthers(*engine, cut));
  return *info;
}

}  // namespace

absl::StatusOr<SnapshotInfo> CutSnapshot(const SnapshotCut& cut) {
  if (cut.first_slot > cut.last_slot || cut.last_slot >= kClusterSlots) {
    return absl::InvalidArgumentError(absl::StrFormat("slots are %d-%d; they are from 0 to %d, in order",
                                                      cut.first_slot, cut.last_slot, kClusterSlots - 1));
  }
  // A server that is making a snapshot there would be disturbed.
  BEBR_ASSIGN_OR_RETURN(const auto lock, DirectoryLock::Acquire(cut.data_dir));
  const std::string scratch = cut.into + "/.cutting";
  BEBR_RETURN_IF_ERROR(RemoveAll(scratch));
  BEBR_RETURN_IF_ERROR(CreateDirectories(scratch));
  const absl::Cleanup remove = [&] { RemoveAll(scratch).IgnoreError(); };
  BEBR_ASSIGN_OR_RETURN(SnapshotInfo info, Restore(cut, scratch));
  info.position = cut.position != 0 ? cut.position : static_cast<uint64_t>(absl::ToUnixMicros(info.created));
  info.first_slot = cut.first_slot;
  info.last_slot = cut.last_slot;
  BEBR_ASSIGN_OR_RETURN(const auto opened, LogEngine::Open({.data_dir = scratch, .snapshot_dir = cut.into}));
  const auto path = opened.log->PathOfSnapshot(info);
  if (path.ok()) return absl::AlreadyExistsError(absl::StrCat(*path, " is there already"));
  const std::string copy = scratch + "/copy";
  BEBR_ASSIGN_OR_RETURN(info.documents, opened.log->CopyTo(cut.collection, copy));
  BEBR_RETURN_IF_ERROR(opened.log->KeepSnapshot(info, copy));
  return info;
}

}  // namespace bebr
