#include "bebr/v1/admin.pb.h"
#include "index/base/status_macros.h"
#include "index/gateway_engine.h"
#include "server/call/hidden_paths.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"

namespace bebr {
namespace {

absl::StatusOr<GatewayEngine*> ClusterOf(const RpcContext& rpc) {
  if (rpc.cluster != nullptr) return rpc.cluster;
  return absl::FailedPreconditionError("this server is no gateway of a cluster: ask one (deploy/CLUSTER.md)");
}

void ToProto(const ShareComparison& comparison, v1::ShareComparison* out) {
  out->set_collection(comparison.collection);
  out->set_first_slot(comparison.first_slot);
  out->set_last_slot(comparison.last_slot);
  out->set_position(comparison.position);
  for (const ReplicaDigest& replica : comparison.replicas) {
    v1::ReplicaDigest* added = out->add_replicas();
    added->set_node(replica.node);
    added->set_documents(replica.documents);
    added->set_digest(replica.digest);
    added->set_error(ForCallers(std::string(replica.status.message())));
  }
  out->set_differs(comparison.differs);
  out->set_compared_unix_us(absl::ToUnixMicros(comparison.compared));
}

void ToProto(const ReplicaReport& replica, v1::ClusterReplica* out) {
  out->set_node(replica.place.name);
  out->set_address(replica.place.address);
  out->set_state(static_cast<v1::ReplicaState>(replica.health));
  out->set_applied(replica.applied);
  out->set_lag_positions(replica.lag_positions);
  out->set_lag_seconds(absl::ToDoubleSeconds(replica.lag));
  out->set_problem(ForCallers(replica.problem));
  out->set_warning(ForCallers(replica.warning));
  out->set_member(static_cast<v1::MemberState>(replica.member));
  out->set_kept(replica.kept);
  out->set_seed_bytes(replica.seed_bytes);
  out->set_seeded_bytes(replica.seeded_bytes);
}

void ToProto(const LogReport& log, v1::ClusterLog* out) {
  out->set_problem(ForCallers(log.problem));
  out->set_head(log.head);
  out->set_trimmed(log.trimmed);
  out->set_rows(log.rows);
  out->set_bytes(log.bytes);
  out->set_held(ForCallers(log.held));
}

absl::Status GetCluster(RpcContext& rpc, const Call&, const v1::GetClusterRequest&, v1::GetClusterResponse& response) {
  BEBR_ASSIGN_OR_RETURN(GatewayEngine * cluster, ClusterOf(rpc));
  const ClusterReport report = cluster->Report();
  for (const ShareReport& share : report.shares) {
    v1::ClusterShare* added = response.add_shares();
    added->set_first_slot(share.first_slot);
    added->set_last_slot(share.last_slot);
    for (const ReplicaReport& replica : share.replicas) ToProto(replica, added->add_replicas());
  }
  if (report.log.has_value()) ToProto(*report.log, response.mutable_log());
  response.set_members_revision(report.members_revision);
  response.set_covered_slots(report.covered_slots());
  for (const ShareComparison& comparison : report.differences) ToProto(comparison, response.add_differences());
  return absl::OkStatus();
}

absl::Status VerifyCluster(RpcContext& rpc, const Call& call, const v1::VerifyClusterRequest&,
                           v1::VerifyClusterResponse& response) {
  BEBR_ASSIGN_OR_RETURN(GatewayEngine * cluster, ClusterOf(rpc));
  BEBR_ASSIGN_OR_RETURN(const auto comparisons, cluster->Verify(call.collection(), call.cancelled()));
  for (const ShareComparison& comparison : comparisons) {
    // A key for some collections sees those only.
    if (call.identity().Sees(comparison.collection)) ToProto(comparison, response.add_comparisons());
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Method> ClusterMethods() {
  return {Blocking("/bebr.v1.AdminService/GetCluster", Role::kAdmin, OfNone, GetCluster),
          Blocking("/bebr.v1.AdminService/VerifyCluster", Role::kAdmin, OfCollection, VerifyCluster)};
}

}  // namespace bebr
