// The layout files of a collection's shards: their headers, and when they are of use.
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/segment/layout_file.h"
#include "index/shard/shard_set.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

constexpr uint64_t kUsualLeastDocuments = 50000;  // fewer are read from the store in a moment
constexpr size_t kMostHeaderBytes = 1 << 20;

// A name that no other layout has.
std::string NewLayoutName() {
  std::random_device random;
  std::string name;
  for (int i = 0; i < 4; ++i) absl::StrAppendFormat(&name, "%08x", random());
  return name;
}

}  // namespace

std::atomic<uint64_t>& ShardSet::LeastLayoutDocuments() {
  static std::atomic<uint64_t> least{kUsualLeastDocuments};
  return least;
}

std::string ShardSet::LayoutHeader(size_t shard, std::string_view name) const {
  std::string header =
      absl::StrFormat("layout %s of %s at %d, shard %d of %d, floats %d\n", name, store_->mark().identity,
                      store_->sequence(), shard, shards_.size(), contents_.stores_floats);
  for (const auto& [number, spec] : contents_.spaces)
    absl::StrAppendFormat(&header, "space %d: %s, groups %d\n", number, spec.ToString(), spec.groups());
  for (const auto& [version, embedding] : contents_.versions)
    absl::StrAppendFormat(&header, "version %d: embedding %d\n", version, embedding);
  for (const auto& [attribute, rule] : *contents_.attributes)
    absl::StrAppend(&header, "attribute ", attribute, ": ", rule.kind, " ", rule.storage, "\n");
  return header;
}

absl::Status ShardSet::SaveShard(size_t shard, std::string_view name, SteadyTime deadline) const {
  BEBR_ASSIGN_OR_RETURN(const auto file,
                        LayoutWriter::Create(LayoutPath(path_, static_cast<uint32_t>(shard)), deadline));
  file->PutText(LayoutHeader(shard, name));
  shards_[shard]->Save(*file);
  return file->Finish();
}

absl::Status ShardSet::SaveLayout(LayoutLimits& limits) {
  uint64_t documents = 0;
  const auto now = view();
  for (const auto& shard : now->shards) documents += shard->documents;
  const bool there = layout_sequence_ == store_->sequence();
  if (there) return absl::OkStatus();
  if (documents < LeastLayoutDocuments() || !store_->health().ok()) return RemoveLayout();
  const auto bytes = static_cast<int64_t>(memory_bytes());
  if (limits.room_bytes.fetch_sub(bytes) < bytes) {
    limits.room_bytes.fetch_add(bytes);  // another one may need less
    LogInfo("storage at {}: no layout files are written, as the disk has little room: the next start reads the store",
            path_);
    return RemoveLayout();
  }
  const std::string name = NewLayoutName();
  std::vector<absl::Status> outcomes(size());
  pool_->ParallelFor(size(), [&](size_t s) { outcomes[s] = SaveShard(s, name, limits.deadline); });
  absl::Status status;
  for (const absl::Status& outcome : outcomes) status.Update(outcome);
  // A disk that is as slow as this does not get its time for a sync, either.
  if (status.ok() && SteadyNow() >= limits.deadline) {
    status = absl::DeadlineExceededError(absl::StrFormat("storage at %s: layout files took too long", path_));
  }
  if (status.ok()) status = store_->SetLayout(name);
  if (!status.ok()) RemoveLayout().IgnoreError();
  return status;
}

absl::Status ShardSet::RemoveLayout() {
  absl::Status status;
  for (uint32_t s = 0; s < size(); ++s) status.Update(RemoveAll(LayoutPath(path_, s)));
  return status;
}

void ShardSet::RemoveOutdatedLayout() {
  if (outdated_layout_removed_ || !layout_sequence_.has_value() || *layout_sequence_ == store_->sequence()) return;
  outdated_layout_removed_ = true;
  if (store_->health().ok()) RemoveLayout().IgnoreError();  // the next start does it
}

bool ShardSet::LoadLayout(size_t shard) {
  const std::string path = LayoutPath(path_, static_cast<uint32_t>(shard));
  auto file = LayoutReader::Open(path);
  if (!file.ok()) {
    if (!absl::IsNotFound(file.status())) LogWarning("{}", std::string(file.status().message()));
    return false;
  }
  absl::Status status;
  if ((*file)->TakeText(kMostHeaderBytes) != LayoutHeader(shard, store_->layout())) {
    (*file)->Fail("it is of another state of the store");
    status = (*file)->status();
  } else {
    status = shards_[shard]->LoadLayout(**file);
  }
  if (status.ok()) return true;
  LogInfo("{}; its documents are read from the store", std::string(status.message()));
  shards_[shard] = MakeShard(shard);
  RemoveAll(path).IgnoreError();
  return false;
}

}  // namespace bebr
