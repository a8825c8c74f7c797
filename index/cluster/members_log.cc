// What a ClusterMembers lets go of, of the log.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/cluster/cluster_members.h"

namespace bebr {

ClusterMembers::Needs ClusterMembers::NeedsNow() const {
  // A member that serves and answers, and what it has kept.
  struct Ready {
    uint64_t kept = 0;
    std::string name;
  };
  struct Share {
    NodePlace place;
    size_t members = 0;
    std::vector<Ready> ready;
  };
  std::map<uint32_t, Share> shares;
  for (const ReplicaSet* const set : sets_) shares[set->place().first_slot].place = set->place();
  Needs needs{.needed = std::numeric_limits<uint64_t>::max(), .safe = std::numeric_limits<uint64_t>::max()};
  for (const MemberReport& report : Reports()) {
    const ReplicaState& replica = report.replica;
    const NodePlace& place = report.member.place;
    if (report.member.state == MemberState::kDraining) continue;
    if (replica.kept < needs.needed) needs.holder = place.name;
    needs.needed = std::min(needs.needed, replica.kept);
    Share& share = shares[place.first_slot];
    share.members += 1;
    if (report.member.state == MemberState::kServing && report.answers && !replica.quarantined && !replica.name_taken)
      share.ready.push_back({replica.kept, place.name});
  }
  for (auto& [slot, share] : shares) {
    std::sort(share.ready.begin(), share.ready.end(), [](const Ready& a, const Ready& b) { return a.kept > b.kept; });
    // So many must be able to do without it: where one of two dies, the other one has all.
    const size_t least = share.members == 1 ? 1 : 2;
    const uint64_t safe = share.ready.size() < least ? 0 : share.ready[least - 1].kept;
    if (safe >= needs.safe) continue;
    needs.safe = safe;
    const std::string slots = absl::StrFormat("%d-%d", share.place.first_slot, share.place.last_slot);
    needs.why = share.ready.empty() ? absl::StrFormat("no replica of slots %s answers", slots)
                : least == 1        ? absl::StrFormat("it is the only replica of slots %s", slots)
                             : absl::StrFormat("of the replicas of slots %s node %s alone can do without that", slots,
                                               share.ready[0].name);
  }
  return needs;
}

absl::Status ClusterMembers::TrimLog() {
  if (log_ == nullptr) {
    BEBR_ASSIGN_OR_RETURN(log_, options_.open_log());
  }
  const Needs needs = NeedsNow();
  const uint64_t free = needs.needed - std::min(needs.needed, options_.margin);
  uint64_t bytes = 0, beyond = 0;  // of the log at first; up to where what somebody needs was let go of
  std::string held;
  for (;;) {
    BEBR_ASSIGN_OR_RETURN(const LogSize size, log_->Size());
    const bool too_large = options_.log_bytes > 0 && size.bytes > options_.log_bytes;
    if (bytes == 0) bytes = size.bytes;
    if (size.oldest == 0) break;
    if (size.oldest > free && !(too_large && size.oldest <= needs.safe)) {
      if (!too_large) break;
      held = absl::StrFormat(
          "it takes %d bytes and cluster_log_bytes is %d; node %s needs it from position %d on, and %s: mend node %s, "
          "or drain it if it is gone for good",
          size.bytes, options_.log_bytes, needs.holder, needs.needed, needs.why, needs.holder);
      break;
    }
    BEBR_RETURN_IF_ERROR(log_->Trim(size.oldest).status());
    if (size.oldest > free) beyond = size.oldest;
  }
  bool is_new = false;
  {
    MutexLock lock(&mutex_);
    is_new = held_.empty() != held.empty();
    held_ = held;
  }
  if (is_new && !held.empty()) LogWarning("the log is kept: {}", held);
  if (beyond == 0) return absl::OkStatus();
  LogWarning(
      "the log took {} bytes and cluster_log_bytes is {}: up to position {} it was let go of, and who needs it, as "
      "node {} does from position {} on, is filled anew",
      bytes, options_.log_bytes, beyond, needs.holder, needs.needed);
  return absl::OkStatus();
}

std::string ClusterMembers::held() {
  MutexLock lock(&mutex_);
  return held_;
}

}  // namespace bebr
