// The admin service's calls about snapshots.
#include <string>
#include <vector>

#include "index/base/status_macros.h"
#include "server/access/auth.h"
#include "server/call/call_context.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/services.h"
#include "server/rpc/unary_call.h"

namespace bebr {
namespace {

void ToProto(const SnapshotInfo& info, v1::Snapshot* out) {
  out->set_collection(info.collection);
  out->set_name(info.name);
  out->set_created_unix_us(absl::ToUnixMicros(info.created));
  out->set_documents(info.documents);
  out->set_bytes(info.bytes);
}

}  // namespace

grpc::ServerUnaryReactor* AdminServiceImpl::CreateSnapshot(grpc::CallbackServerContext* context,
                                                           const v1::CreateSnapshotRequest* request,
                                                           v1::CreateSnapshotResponse* response) {
  const std::string collection = rpc_.engine->Resolve(request->collection());
  const absl::Status checked =
      rpc_.authenticator->Check(CallerOf(*context), "CreateSnapshot", Role::kAdmin, collection);
  return RunBlocking(rpc_, checked, [this, collection, request, response]() -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(const SnapshotInfo info, rpc_.engine->CreateSnapshot(collection, request->name()));
    ToProto(info, response->mutable_snapshot());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminServiceImpl::ListSnapshots(grpc::CallbackServerContext* context,
                                                          const v1::ListSnapshotsRequest* request,
                                                          v1::ListSnapshotsResponse* response) {
  const std::string collection = rpc_.engine->Resolve(request->collection());
  const absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "ListSnapshots", Role::kRead, collection);
  return RunBlocking(rpc_, checked, [this, context, collection, response]() -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(const std::vector<SnapshotInfo> infos, rpc_.engine->ListSnapshots(collection));
    for (const SnapshotInfo& info : infos) {
      // A key for some collections sees their snapshots only.
      if (!rpc_.authenticator->May(CallerOf(*context), Role::kRead, info.collection)) continue;
      ToProto(info, response->add_snapshots());
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminServiceImpl::RestoreSnapshot(grpc::CallbackServerContext* context,
                                                            const v1::RestoreSnapshotRequest* request,
                                                            v1::RestoreSnapshotResponse* response) {
  const std::string collection = rpc_.engine->Resolve(request->collection());
  absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "RestoreSnapshot", Role::kAdmin, collection);
  if (checked.ok()) {
    checked = rpc_.authenticator->Check(CallerOf(*context), "RestoreSnapshot", Role::kAdmin, request->new_collection());
  }
  return RunBlocking(rpc_, checked, [this, collection, request, response]() -> absl::Status {
    BEBR_RETURN_IF_ERROR(rpc_.engine->RestoreSnapshot(collection, request->name(), request->new_collection()));
    return Describe(rpc_, request->new_collection(), response->mutable_collection());
  });
}

grpc::ServerUnaryReactor* AdminServiceImpl::DeleteSnapshot(grpc::CallbackServerContext* context,
                                                           const v1::DeleteSnapshotRequest* request,
                                                           v1::DeleteSnapshotResponse*) {
  const std::string collection = rpc_.engine->Resolve(request->collection());
  const absl::Status checked =
      rpc_.authenticator->Check(CallerOf(*context), "DeleteSnapshot", Role::kAdmin, collection);
  return RunBlocking(rpc_, checked,
                     [this, collection, request] { return rpc_.engine->DeleteSnapshot(collection, request->name()); });
}

}  // namespace bebr
