// What a node keeps of how far it has followed the log, beside what its collections say.
#ifndef BEBR_INDEX_FOLLOW_FOLLOWER_STATE_H_
#define BEBR_INDEX_FOLLOW_FOLLOWER_STATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/log/log.h"

namespace bebr {

// The file log.json in the data directory.
struct FollowerState {
  // All up to here was applied. Collections may be further, by what their stores say.
  LogPlace place;
  // Of the log (LogState::identity); 0: it has followed none yet, or was written by a release before.
  uint64_t log = 0;
  // Where a change of collections, versions or aliases was begun last, which may have been made if it is behind
  // `place`.
  uint64_t barrier = 0;
  // The collections that there are at that place, and the position of the last change of each, or of its versions.
  std::map<std::string, uint64_t, std::less<>> collections;
  // The last snapshots that were dropped, oldest first (DroppedSnapshot): so whether one is restored after it was
  // dropped depends on the log alone.
  std::vector<std::string> dropped_snapshots;
  // Why the node must be filled anew; empty: it need not.
  std::string quarantined;
  // What it had is being dropped, and replaced by the seed that lies whole beside it: of the rest here nothing counts.
  bool filling = false;
};

inline constexpr size_t kMostDroppedSnapshots = 1000;

// As the file has it. DATA_LOSS if a text is none.
std::string EncodeFollowerState(const FollowerState& state);
absl::StatusOr<FollowerState> DecodeFollowerState(const std::string& text);

// nullopt if there is no file: the directory is of no node that follows a log. DATA_LOSS if the file is damaged.
absl::StatusOr<std::optional<FollowerState>> ReadFollowerState(const std::string& data_dir);
absl::Status WriteFollowerState(const std::string& data_dir, const FollowerState& state);

}  // namespace bebr

#endif  // BEBR_INDEX_FOLLOW_FOLLOWER_STATE_H_
