#include "server/cluster/gateway_engine.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/cluster/cluster_engine.h"
#include "index/cluster/replicated_engine.h"
#include "server/cluster/channel.h"
#include "server/cluster/cluster_log.h"
#include "server/cluster/remote_node.h"
#include "server/config/cluster_nodes.h"

namespace bebr {
namespace {

// A call of the log tries for so long: an append, which may have to find a new leader, and a reader's question, without
// which the reader gets an answer that may be stale.
constexpr absl::Duration kAppendTimeout = absl::Seconds(10);
constexpr absl::Duration kAskTimeout = absl::Seconds(1);

// A node with what it needs to outlive it.
class OwningNode final : public ReplicaNode {
 public:
  OwningNode(std::shared_ptr<Canceller> canceller, std::unique_ptr<ReplicaNode> node)
      : canceller_(std::move(canceller)), node_(std::move(node)) {}
  Engine& engine() override { return node_->engine(); }
  absl::StatusOr<NodeState> State() override { return node_->State(); }
  void SetLog(uint64_t identity) override { node_->SetLog(identity); }
  absl::StatusOr<Engine*> EngineAt(uint64_t position, SteadyTime deadline) override {
    return node_->EngineAt(position, deadline);
  }
  void Await(uint64_t position, SteadyTime deadline, absl::AnyInvocable<void(absl::Status)> done) override {
    node_->Await(position, deadline, std::move(done));
  }
  void Prepare(UpsertRequest request, uint64_t position, SteadyTime deadline,
               absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done) override {
    node_->Prepare(std::move(request), position, deadline, std::move(done));
  }
  void Outcome(const LogPlace& place, uint32_t number, SteadyTime deadline,
               absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done) override {
    node_->Outcome(place, number, deadline, std::move(done));
  }
  absl::StatusOr<PreparedBackfill> PrepareBackfill(const std::string& collection, const std::string& version,
                                                   const std::string& after, uint32_t most_documents, uint64_t position,
                                                   SteadyTime deadline) override {
    return node_->PrepareBackfill(collection, version, after, most_documents, position, deadline);
  }
  void CheckRoomFor(const AttributeUpdate& update, SteadyTime deadline,
                    absl::AnyInvocable<void(absl::Status)> done) override {
    node_->CheckRoomFor(update, deadline, std::move(done));
  }
  absl::StatusOr<CollectionDigest> Digest(const std::string& collection, uint64_t position, uint64_t bytes_per_s,
                                          SteadyTime deadline, std::shared_ptr<std::atomic<bool>> cancelled) override {
    return node_->Digest(collection, position, bytes_per_s, deadline, std::move(cancelled));
  }
  absl::StatusOr<std::vector<ReplicaSnapshot>> Snapshots(const std::string& collection, uint64_t position,
                                                         SteadyTime deadline) override {
    return node_->Snapshots(collection, position, deadline);
  }
  absl::Status CheckSnapshot(const SnapshotInfo& which, SteadyTime deadline) override {
    return node_->CheckSnapshot(which, deadline);
  }

 private:
  const std::shared_ptr<Canceller> canceller_;
  const std::unique_ptr<ReplicaNode> node_;
};

// A name that no other process has had.
std::string WriterName() {
  absl::BitGen random;
  return absl::StrFormat("gateway-%016x%016x", absl::Uniform<uint64_t>(random), absl::Uniform<uint64_t>(random));
}

}  // namespace

absl::StatusOr<OpenedGateway> OpenGateway(const ServerConfig& config, Metrics* metrics) {
  const bool has_log = !config.cluster_log.empty();
  BEBR_ASSIGN_OR_RETURN(const std::vector<NodePlace> places, ParseClusterNodes(config.cluster_nodes, has_log));
  BEBR_ASSIGN_OR_RETURN(const NodeCredentials credentials, ReadNodeCredentials(config));
  const auto canceller = std::make_shared<Canceller>();
  std::vector<ClusterMember> members;
  std::vector<ReplicaMember> replicas;
  MembersOptions keeping;
  keeping.make_node = [=](const NodePlace& place) -> std::unique_ptr<ReplicaNode> {
    return std::make_unique<OwningNode>(canceller, MakeRemoteNode(place, credentials, canceller.get(), metrics));
  };
  for (const NodePlace& place : places) {
    auto node = keeping.make_node(place);
    keeping.first.push_back({place, MemberState::kServing, /*configured=*/true});
    if (has_log) {
      replicas.push_back({place, std::move(node)});
    } else {
      members.push_back({place, std::move(node)});
    }
  }
  if (!has_log) return OpenedGateway{.engine = MakeClusterEngine(std::move(members))};
  keeping.open_placement = PlacementOpenerOf(config, kAppendTimeout);
  keeping.open_log = OpenerOf(config, kAppendTimeout);
  keeping.log_bytes = config.cluster_log_bytes;
  keeping.replace_after = absl::Seconds(config.cluster_replace_after_s);
  OpenedGateway gateway;
  gateway.engine = MakeReplicatedEngine(std::move(replicas),
                                        {.open = OpenerOf(config, kAppendTimeout),
                                         .open_to_ask = OpenerOf(config, kAskTimeout),
                                         .writer = WriterName(),
                                         .timeout = credentials.timeout,
                                         .compare_interval = absl::Seconds(config.cluster_compare_interval_s),
                                         .compare_bytes_per_s = config.scrub_bytes_per_s,
                                         .members = std::move(keeping)},
                                        &gateway.membership);
  return gateway;
}

}  // namespace bebr
