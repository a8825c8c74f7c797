#include "server/cluster/cluster_log.h"

#include <unistd.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/cluster/log_layout.h"
#include "index/cluster/node_claim.h"
#include "index/cluster/placement_log.h"
#include "index/log/postgres/postgres_logs.h"
#include "server/cluster/seed_peers.h"
#include "server/config/cluster_nodes.h"

namespace bebr {
namespace {

// A database has the logs of one cluster, and a cluster has one.
constexpr const char* kLogName = "cluster";
constexpr absl::Duration kReadTimeout = absl::Seconds(5);

OpenLog OpenerOf(const ServerConfig& config, std::string_view log, absl::Duration timeout) {
  const PostgresOptions options{.address = config.cluster_log, .single = config.cluster_log_single, .timeout = timeout};
  const auto nodes = ParseClusterNodes(config.cluster_nodes, /*replicas=*/true);
  return [options, nodes, log = std::string(log)]() -> absl::StatusOr<std::unique_ptr<Log>> {
    BEBR_RETURN_IF_ERROR(nodes.status());
    BEBR_ASSIGN_OR_RETURN(const auto logs, PostgresLogs::Open(options));
    BEBR_RETURN_IF_ERROR(ClaimLayout(*logs, *nodes));
    BEBR_RETURN_IF_ERROR(logs->Create(log));
    return logs->Open(log);
  };
}

// The placement as a node reads it: where nobody has said yet, and the log does not answer, that of cluster_nodes.
class NodePlacement {
 public:
  NodePlacement(const ServerConfig& config, NodePlace self, const std::vector<NodePlace>& nodes)
      : self_(std::move(self)), log_(PlacementOpenerOf(config, kReadTimeout)) {
    for (const NodePlace& node : nodes) first_.push_back({node, MemberState::kServing, /*configured=*/true});
  }
  // The replicas of its share that serve.
  std::vector<NodePlace> Others() {
    std::vector<NodePlace> others;
    for (const Member& member : Members()) {
      const bool same = member.place.first_slot == self_.first_slot && member.place.name != self_.name;
      if (same && member.state == MemberState::kServing) others.push_back(member.place);
    }
    return others;
  }
  absl::Status IsMember() {
    for (const Member& member : Members()) {
      if (member.place.name == self_.name) return absl::OkStatus();
    }
    return absl::FailedPreconditionError(
        absl::StrFormat("node %s is no member of the cluster: an administrator lets it join, as name %s with slots "
                        "%d-%d at its address",
                        self_.name, self_.name, self_.first_slot, self_.last_slot));
  }

 private:
  std::vector<Member> Members() {
    auto placement = log_.Read();
    if (!placement.ok() || placement->revision == 0) return first_;
    UseConfigured(first_, *placement);
    return placement->members;
  }

  const NodePlace self_;
  PlacementLog log_;
  std::vector<Member> first_;
};

std::string HostName() {
  std::array<char, 256> name = {};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "a host without a name";
}

}  // namespace

OpenLog OpenerOf(const ServerConfig& config, absl::Duration timeout) { return OpenerOf(config, kLogName, timeout); }

OpenLog PlacementOpenerOf(const ServerConfig& config, absl::Duration timeout) {
  return OpenerOf(config, kPlacementLogName, timeout);
}

absl::StatusOr<FollowingEngine> OpenFollowing(const ServerConfig& config, EngineOptions options, const NodePlace& self,
                                              Metrics* metrics) {
  BEBR_ASSIGN_OR_RETURN(const std::vector<NodePlace> nodes, ParseClusterNodes(config.cluster_nodes, /*replicas=*/true));
  const auto placement = std::make_shared<NodePlacement>(config, self, nodes);
  const auto claim = std::make_shared<NodeClaim>(OpenerOf(config, kNodesLogName, kReadTimeout), self.name,
                                                 absl::StrFormat("%s on %s", config.listen, HostName()));
  const auto others = [placement] { return placement->Others(); };
  BEBR_ASSIGN_OR_RETURN(SeedSources sources, SeedPeers(config, others, metrics));
  const std::string data_dir = options.data_dir;
  BEBR_ASSIGN_OR_RETURN(LogEngine::Opened opened, LogEngine::Open(std::move(options)));
  FollowingEngine following{.engine = std::move(opened.engine)};
  BEBR_ASSIGN_OR_RETURN(following.follower, Follower::Open(opened.log, OpenerOf(config, kReadTimeout),
                                                           {.data_dir = data_dir,
                                                            .first_slot = self.first_slot,
                                                            .last_slot = self.last_slot,
                                                            .sources = std::move(sources),
                                                            .seed_bytes_per_s = config.cluster_seed_bytes_per_s,
                                                            .may_follow =
                                                                [placement, claim] {
                                                                  const absl::Status member = placement->IsMember();
                                                                  return member.ok() ? claim->Check() : member;
                                                                },
                                                            .warning = [claim] { return claim->Later(); }}));
  return following;
}

}  // namespace bebr
