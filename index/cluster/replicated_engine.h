// One engine made of nodes that hold replicas and follow one log.
#ifndef BEBR_INDEX_CLUSTER_REPLICATED_ENGINE_H_
#define BEBR_INDEX_CLUSTER_REPLICATED_ENGINE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "index/cluster/cluster_members.h"
#include "index/cluster/log_head.h"
#include "index/cluster/replica_set.h"
#include "index/gateway_engine.h"
#include "index/types/membership.h"

namespace bebr {

// How an engine over replicas is to run.
struct ReplicatedOptions {
  OpenLog open;         // the log, for appends
  OpenLog open_to_ask;  // and for asking where it ends, which should fail soon where it cannot be done
  std::string writer;   // a name that no other gateway has
  absl::Duration timeout = absl::Seconds(30);  // of a write, and of calls without a deadline
  // So often replicas of all collections are compared, each read at so many bytes a second (0: no limit). An interval
  // of 0: never.
  absl::Duration compare_interval = absl::ZeroDuration();
  uint64_t compare_bytes_per_s = 0;
  MembersOptions members;
};

// An Engine over nodes of which those with the same slots hold the same documents, as the log says them: so searches
// and writes go on while of each share of the slots one node is there. Answers are those of one engine, as of
// MakeClusterEngine.
//
// Writes. A node checks and encodes them; then the log has them, in one append over all shares; then one replica of
// each share that they touch has applied them, and says what came of them: only then they are acknowledged. All shares
// have all of a request or nothing. What was encoded for versions that changed before it was in the log is encoded
// again. Changes of collections, versions and aliases go the same way, in the same order. An error UNAVAILABLE says
// whether a write is not in the log, or is there, or nobody knows.
//
// Reads begin where the log ended when they were asked (ReplicaSet): so whoever was told of a write, by any gateway,
// finds it.
//
// Backfills are writes like others, and are driven by the gateway that they were begun through (LogBackfills).
//
// `membership`, which may be null, is told of what sees and changes its members, and lives as long as the engine.
std::unique_ptr<GatewayEngine> MakeReplicatedEngine(std::vector<ReplicaMember> members,
                                                    const ReplicatedOptions& options,
                                                    Membership** membership = nullptr);

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_REPLICATED_ENGINE_H_
