// What the log says of the cluster's snapshots, as an Applier does it.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/own_error.h"
#include "index/follow/applier.h"

namespace bebr {
namespace {

bool Lists(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// As FollowerState has those that were dropped.
std::string KeyOf(const SnapshotInfo& which) {
  return absl::StrCat(which.collection, "/", which.name, "/", which.position);
}

}  // namespace

void Applier::KeepSnapshot(uint64_t position, const LogChange& change) {
  SnapshotInfo which{.collection = change.name, .name = change.snapshot, .position = position};
  which.created = absl::FromUnixMicros(change.created_unix_us);
  // It is read again after a crash, and the collection is further.
  const auto beyond = HasApplied(change.name, position);
  if (!beyond.ok()) {
    snapshots_.Miss(std::move(which), beyond.status().message());
  } else if (*beyond && !snapshots_.PathOf(which).ok()) {
    snapshots_.Miss(std::move(which), "the node was killed before it was made, and is beyond it");
  } else if (!*beyond) {
    snapshots_.Begin(std::move(which));
  }
}

void Applier::DropSnapshot(const LogChange& change) {
  const SnapshotInfo which{.collection = change.name, .name = change.snapshot, .position = change.snapshot_position};
  std::vector<std::string>& dropped = state_.dropped_snapshots;
  if (const std::string key = KeyOf(which); !Lists(dropped, key)) dropped.push_back(key);
  if (dropped.size() > kMostDroppedSnapshots) dropped.erase(dropped.begin());
  snapshots_.Remove(which);
}

absl::Status Applier::Restore(const LogChange& change) {
  if (engine_.engine().GetCollection(change.name).ok()) {
    return absl::AlreadyExistsError(
        absl::StrFormat("a collection, or an alias of one, is named \"%s\" already", change.name));
  }
  const SnapshotInfo which{.collection = change.target, .name = change.snapshot, .position = change.snapshot_position};
  if (Lists(state_.dropped_snapshots, KeyOf(which))) {
    return absl::NotFoundError(
        absl::StrFormat("snapshot \"%s\" of collection \"%s\" was dropped", which.name, which.collection));
  }
  if (const absl::Status whole = snapshots_.Check(which); !whole.ok()) {
    missing_snapshot_ = which;
    return OwnError(absl::UnavailableError(absl::StrFormat(
        "collection \"%s\" is to be made of snapshot \"%s\" of collection \"%s\", which the node has not: %s",
        change.name, which.name, which.collection, whole.message())));
  }
  return OwnError(snapshots_.Restore(which, change.name));
}

}  // namespace bebr
