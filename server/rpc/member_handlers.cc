// The cluster service: changes of the members of a cluster with a log, by its gateways.
#include <utility>

#include "bebr/v1/cluster.pb.h"
#include "index/base/status_macros.h"
#include "index/types/membership.h"
#include "server/config/cluster_nodes.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"

namespace bebr {
namespace {

// For whose key is not for some collections alone.
absl::StatusOr<Membership*> MembershipFor(const Call& call, RpcContext& rpc) {
  if (!call.identity().Sees("*")) {
    return absl::PermissionDeniedError("the key is for some collections alone, and a cluster's members are for all");
  }
  if (rpc.membership != nullptr) return rpc.membership;
  return absl::UnimplementedError("this server is no gateway of a cluster with a log: ask one (deploy/CLUSTER.md)");
}

absl::Status JoinNode(RpcContext& rpc, const Call& call, const v1::JoinNodeRequest& request,
                      v1::JoinNodeResponse& response) {
  BEBR_ASSIGN_OR_RETURN(Membership* const membership, MembershipFor(call, rpc));
  const NodePlace place{.name = request.name(),
                        .address = request.address(),
                        .first_slot = request.first_slot(),
                        .last_slot = request.last_slot()};
  BEBR_RETURN_IF_ERROR(CheckNodePlace(place));
  BEBR_ASSIGN_OR_RETURN(const uint64_t revision, membership->Join(place));
  response.set_revision(revision);
  return absl::OkStatus();
}

absl::Status DrainNode(RpcContext& rpc, const Call& call, const v1::DrainNodeRequest& request,
                       v1::DrainNodeResponse& response) {
  BEBR_ASSIGN_OR_RETURN(Membership* const membership, MembershipFor(call, rpc));
  BEBR_ASSIGN_OR_RETURN(const uint64_t revision, membership->Drain(request.name()));
  response.set_revision(revision);
  return absl::OkStatus();
}

}  // namespace

std::vector<Method> MemberMethods() {
  return {Blocking("/bebr.v1.ClusterService/JoinNode", Role::kAdmin, OfNone, JoinNode),
          Blocking("/bebr.v1.ClusterService/DrainNode", Role::kAdmin, OfNone, DrainNode)};
}

}  // namespace bebr
