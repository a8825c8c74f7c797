// What a gateway tells of how a node answered.
#ifndef BEBR_INDEX_CLUSTER_STATE_REPORT_H_
#define BEBR_INDEX_CLUSTER_STATE_REPORT_H_

#include <string>

#include "absl/status/statusor.h"
#include "index/cluster/node.h"
#include "index/types/cluster_report.h"

namespace bebr {

// Of one that does not answer its position stays as it was.
inline void NoteState(const absl::StatusOr<NodeState>& state, ReplicaReport& report) {
  if (!state.ok()) {
    report.health = ReplicaHealth::kMissing;
    report.problem = std::string(state.status().message());
    return;
  }
  report.health = ReplicaHealth::kServing;
  report.problem.clear();
  report.warning.clear();
  if (!state->replica.has_value()) return;
  const ReplicaState& replica = *state->replica;
  report.applied = replica.applied;
  report.lag_positions = replica.head > replica.applied ? replica.head - replica.applied : 0;
  report.lag = replica.lag;
  report.problem = replica.problem;
  report.warning = replica.warning;
  report.kept = replica.kept;
  report.seed_bytes = replica.seed_bytes;
  report.seeded_bytes = replica.seeded_bytes;
  if (replica.quarantined) {
    report.health = ReplicaHealth::kQuarantined;
  } else if (!replica.problem.empty()) {
    report.health = ReplicaHealth::kStalled;
  }
}

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_STATE_REPORT_H_
