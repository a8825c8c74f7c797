#include "server/cluster/cluster_log.h"

#include <utility>

#include "index/base/status_macros.h"
#include "index/cluster/log_layout.h"
#include "index/log/postgres/postgres_logs.h"
#include "server/config/cluster_nodes.h"

namespace bebr {
namespace {

// A database has the logs of one cluster, and a cluster has one.
constexpr const char* kLogName = "cluster";
constexpr absl::Duration kReadTimeout = absl::Seconds(5);

}  // namespace

std::function<absl::StatusOr<std::unique_ptr<Log>>()> OpenerOf(const ServerConfig& config, absl::Duration timeout) {
  const PostgresOptions options{.address = config.cluster_log, .single = config.cluster_log_single, .timeout = timeout};
  const auto nodes = ParseClusterNodes(config.cluster_nodes, /*replicas=*/true);
  return [options, nodes]() -> absl::StatusOr<std::unique_ptr<Log>> {
    BEBR_RETURN_IF_ERROR(nodes.status());
    BEBR_ASSIGN_OR_RETURN(const auto logs, PostgresLogs::Open(options));
    BEBR_RETURN_IF_ERROR(ClaimLayout(*logs, *nodes));
    BEBR_RETURN_IF_ERROR(logs->Create(kLogName));
    return logs->Open(kLogName);
  };
}

absl::StatusOr<FollowingEngine> OpenFollowing(const ServerConfig& config, EngineOptions options,
                                              const NodePlace& self) {
  const std::string data_dir = options.data_dir;
  BEBR_ASSIGN_OR_RETURN(LogEngine::Opened opened, LogEngine::Open(std::move(options)));
  FollowingEngine following{.engine = std::move(opened.engine)};
  BEBR_ASSIGN_OR_RETURN(following.follower, Follower::Open(opened.log, OpenerOf(config, kReadTimeout),
                                                           {.data_dir = data_dir, .first_slot = self.first_slot}));
  return following;
}

}  // namespace bebr
