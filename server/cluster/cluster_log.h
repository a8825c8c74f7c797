// The log of a cluster, as the configuration names it.
#ifndef BEBR_SERVER_CLUSTER_CLUSTER_LOG_H_
#define BEBR_SERVER_CLUSTER_CLUSTER_LOG_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/cluster/log_head.h"
#include "index/engine.h"
#include "index/follow/follower.h"
#include "index/log/log.h"
#include "index/log_engine.h"
#include "index/types/cluster.h"
#include "server/config/config.h"
#include "server/metrics/metrics.h"

namespace bebr {

// Opens the log of cluster_log, which it makes if there is none. Its calls then try for `timeout`.
OpenLog OpenerOf(const ServerConfig& config, absl::Duration timeout);

// Likewise the log that says who is a member (index/cluster/placement_log.h).
OpenLog PlacementOpenerOf(const ServerConfig& config, absl::Duration timeout);

// The engine of a node, and what keeps it up with the log, whether that can be reached now or not.
struct FollowingEngine {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Follower> follower;  // ends before the engine
};
// `metrics` must outlive it.
absl::StatusOr<FollowingEngine> OpenFollowing(const ServerConfig& config, EngineOptions options, const NodePlace& self,
                                              Metrics* metrics);

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_CLUSTER_LOG_H_
