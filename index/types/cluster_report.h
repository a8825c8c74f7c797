// How a cluster is, as one of its gateways sees it.
#ifndef BEBR_INDEX_TYPES_CLUSTER_REPORT_H_
#define BEBR_INDEX_TYPES_CLUSTER_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/types/cluster.h"
#include "index/types/membership.h"
#include "index/types/stats.h"

namespace bebr {

// The numbers are those of bebr.v1.ReplicaState.
enum class ReplicaHealth : uint8_t {
  kServing = 1,
  kStalled = 2,      // answers, and does not follow the log
  kQuarantined = 3,  // serves nothing, and must be filled anew
  kMissing = 4,      // does not answer
};

// A node's part in a share of the slots.
struct ReplicaReport {
  NodePlace place;
  ReplicaHealth health = ReplicaHealth::kMissing;
  // Of one that follows a log: up to where it has applied that, what the log has beyond it, and for how long some was
  // missing. Of a missing one as it was last.
  uint64_t applied = 0, lag_positions = 0;
  absl::Duration lag;
  std::string problem;  // why it is not serving
  std::string warning;  // what is wrong though it is
  // What it is in the cluster; up to where it needs the log no more; and while it is filled from another replica: of so
  // many bytes so many have come.
  MemberState member = MemberState::kServing;
  uint64_t kept = 0;
  uint64_t seed_bytes = 0, seeded_bytes = 0;
};

// Some slots, and those that hold them.
struct ShareReport {
  uint32_t first_slot = 0, last_slot = 0;  // both included
  std::vector<ReplicaReport> replicas;     // those that join or are drained too
  uint64_t stale_answers = 0;              // since the gateway's start: those that may lack the newest writes
};

// The log, and what the gateway appended.
struct LogReport {
  std::string problem;             // why it cannot be asked; what follows is then as it was last
  bool refused = false;            // which does not pass by itself: somebody must mend it
  uint64_t head = 0, trimmed = 0;  // positions
  uint64_t rows = 0, bytes = 0;    // as of LogSize
  std::string held;                // why it is kept though it takes more than cluster_log_bytes; empty: it is not
  DurationCounts appends;          // each of some writes together, and what it took to know its outcome
  uint64_t failed_appends = 0;     // of these
};

// What a replica holds of a collection.
struct ReplicaDigest {
  std::string node;
  uint64_t documents = 0;
  std::string digest;
  absl::Status status;  // why there is none
};

// What the replicas of a share hold of a collection, all after the same position of the log.
struct ShareComparison {
  std::string collection;
  uint32_t first_slot = 0, last_slot = 0;
  uint64_t position = 0;
  std::vector<ReplicaDigest> replicas;
  bool differs = false;  // some have other digests than others
  absl::Time compared;
};

// What came of comparisons.
struct ComparisonCounts {
  uint64_t equal = 0;      // of a share's replicas, all of them
  uint64_t different = 0;  // some of them
  uint64_t failed = 0;     // could not be compared, or not all of them
};

// All of it.
struct ClusterReport {
  std::vector<ShareReport> shares;  // by slots
  std::optional<LogReport> log;     // where nodes follow one
  uint64_t members_revision = 0;    // likewise; grows with each change of members
  uint64_t members_replaced = 0;    // since the gateway's start, by it
  std::vector<ShareComparison> differences;
  ComparisonCounts comparisons;  // since the gateway's start

  // Of kClusterSlots, those of shares with a replica that is read from and answers.
  uint32_t covered_slots() const {
    uint32_t covered = 0;
    for (const ShareReport& share : shares) {
      bool answers = false;
      for (const ReplicaReport& replica : share.replicas) {
        answers |= replica.member == MemberState::kServing &&
                   (replica.health == ReplicaHealth::kServing || replica.health == ReplicaHealth::kStalled);
      }
      if (answers) covered += share.last_slot - share.first_slot + 1;
    }
    return covered;
  }
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_CLUSTER_REPORT_H_
