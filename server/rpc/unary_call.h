#ifndef BEBR_SERVER_RPC_UNARY_CALL_H_
#define BEBR_SERVER_RPC_UNARY_CALL_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/call/rpc_context.h"
#include "server/call/status.h"
#include "server/rpc/convert.h"

namespace bebr {

// One call with one request and one response. It deletes itself when gRPC is done with it, so it must be finished
// exactly once.
class UnaryCall : public grpc::ServerUnaryReactor {
 public:
  VectorArena& arena() { return arena_; }
  const std::shared_ptr<std::atomic<bool>>& cancelled() const { return cancelled_; }
  void End(const absl::Status& status) { Finish(ToGrpcStatus(status)); }

 private:
  void OnCancel() override { cancelled_->store(true, std::memory_order_relaxed); }
  void OnDone() override { delete this; }

  VectorArena arena_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

// A call whose `body`, which returns the call's status, runs on the blocking pool; if `checked` is an error, that ends
// it instead.
grpc::ServerUnaryReactor* RunBlocking(RpcContext& rpc, const absl::Status& checked,
                                      absl::AnyInvocable<absl::Status()> body);

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_UNARY_CALL_H_
