#include "server/rpc/unary_call.h"

#include <utility>

namespace bebr {

grpc::ServerUnaryReactor* RunBlocking(RpcContext& rpc, const absl::Status& checked,
                                      absl::AnyInvocable<absl::Status()> body) {
  auto* call = new UnaryCall;
  if (!checked.ok()) {
    call->End(checked);
    return call;
  }
  const absl::Status submitted =
      rpc.blocking->TrySubmit([call, body = std::move(body)]() mutable { call->End(body()); });
  if (!submitted.ok()) call->End(submitted);
  return call;
}

}  // namespace bebr
