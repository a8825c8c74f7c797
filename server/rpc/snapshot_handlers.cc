// The admin service's calls about snapshots.
#include <vector>

#include "bebr/v1/admin.pb.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "server/call/hidden_paths.h"
#include "server/rpc/answers.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"

namespace bebr {
namespace {

template <typename Request>
Target OfSnapshot(const Request& request) {
  return {.collection = request.collection(), .object = request.name()};
}

Target OfRestoration(const v1::RestoreSnapshotRequest& request) {
  return {.collection = request.collection(), .other = request.new_collection(), .object = {}};
}

void ToProto(const SnapshotInfo& info, v1::Snapshot* out) {
  out->set_collection(info.collection);
  out->set_name(info.name);
  out->set_created_unix_us(absl::ToUnixMicros(info.created));
  out->set_documents(info.documents);
  out->set_bytes(info.bytes);
  out->set_position(info.position);
  out->set_problem(ForCallers(info.problem));
}

absl::Status CreateSnapshot(RpcContext& rpc, const Call& call, const v1::CreateSnapshotRequest& request,
                            v1::CreateSnapshotResponse& response) {
  BEBR_ASSIGN_OR_RETURN(const SnapshotInfo info, rpc.engine->CreateSnapshot(call.collection(), request.name()));
  ToProto(info, response.mutable_snapshot());
  return absl::OkStatus();
}

absl::Status ListSnapshots(RpcContext& rpc, const Call& call, const v1::ListSnapshotsRequest&,
                           v1::ListSnapshotsResponse& response) {
  BEBR_ASSIGN_OR_RETURN(const std::vector<SnapshotInfo> infos, rpc.engine->ListSnapshots(call.collection()));
  for (const SnapshotInfo& info : infos) {
    // A key for some collections sees their snapshots only.
    if (call.identity().Sees(info.collection)) ToProto(info, response.add_snapshots());
  }
  return absl::OkStatus();
}

absl::Status RestoreSnapshot(RpcContext& rpc, const Call& call, const v1::RestoreSnapshotRequest& request,
                             v1::RestoreSnapshotResponse& response) {
  BEBR_RETURN_IF_ERROR(rpc.engine->RestoreSnapshot(call.collection(), request.name(), request.new_collection()));
  return Describe(rpc, request.new_collection(), response.mutable_collection());
}

absl::Status DeleteSnapshot(RpcContext& rpc, const Call& call, const v1::DeleteSnapshotRequest& request,
                            v1::DeleteSnapshotResponse&) {
  return rpc.engine->DeleteSnapshot(call.collection(), request.name());
}

}  // namespace

std::vector<Method> SnapshotMethods() {
  return {Blocking("/bebr.v1.AdminService/CreateSnapshot", Role::kAdmin, OfSnapshot, CreateSnapshot),
          Blocking("/bebr.v1.AdminService/ListSnapshots", Role::kRead, OfCollection, ListSnapshots),
          Blocking("/bebr.v1.AdminService/RestoreSnapshot", Role::kAdmin, OfRestoration, RestoreSnapshot),
          Blocking("/bebr.v1.AdminService/DeleteSnapshot", Role::kAdmin, OfSnapshot, DeleteSnapshot)};
}

}  // namespace bebr
