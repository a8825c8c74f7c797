#include "server/cluster/gateway_engine.h"

#include <utility>
#include <vector>

#include "index/base/status_macros.h"
#include "index/cluster/cluster_engine.h"
#include "server/cluster/channel.h"
#include "server/cluster/remote_node.h"
#include "server/config/cluster_nodes.h"

namespace bebr {
namespace {

// A node with what it needs to outlive it.
class OwningNode final : public ClusterNode {
 public:
  OwningNode(std::shared_ptr<Canceller> canceller, std::unique_ptr<ClusterNode> node)
      : canceller_(std::move(canceller)), node_(std::move(node)) {}
  Engine& engine() override { return node_->engine(); }
  absl::StatusOr<NodeState> State() override { return node_->State(); }

 private:
  const std::shared_ptr<Canceller> canceller_;
  const std::unique_ptr<ClusterNode> node_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> OpenGateway(const ServerConfig& config, Metrics* metrics) {
  BEBR_ASSIGN_OR_RETURN(const std::vector<NodePlace> places, ParseClusterNodes(config.cluster_nodes));
  BEBR_ASSIGN_OR_RETURN(const NodeCredentials credentials, ReadNodeCredentials(config));
  const auto canceller = std::make_shared<Canceller>();
  std::vector<ClusterMember> members;
  for (const NodePlace& place : places) {
    auto node = MakeRemoteNode(place, credentials, canceller.get(), metrics);
    members.push_back({place, std::make_unique<OwningNode>(canceller, std::move(node))});
  }
  return MakeClusterEngine(std::move(members));
}

}  // namespace bebr
