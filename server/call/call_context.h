#ifndef BEBR_SERVER_CALL_CALL_CONTEXT_H_
#define BEBR_SERVER_CALL_CALL_CONTEXT_H_

#include <grpcpp/server_context.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/access/auth.h"

namespace bebr {

// What identifies a call in logs and to the services around it. `request_id` is the metadata x-request-id,
// `traceparent` that of the W3C's Trace Context; what the client does not send, or sends malformed, is made up. Both
// are returned in the initial metadata.
struct CallIds {
  std::string request_id;
  std::string traceparent;

  // The 32 hexadecimal digits of traceparent.
  std::string_view trace_id() const { return std::string_view(traceparent).substr(3, 32); }
};

CallIds ReadCallIds(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata);

// The server context of every call of the API, with what the interceptor and the handler share.
class CallContext : public grpc::CallbackServerContext {
 public:
  CallIds ids;
  // Called once the answer has been made into bytes; lets go of the messages, which take several times as much.
  std::function<void()> when_serialized;
  const absl::Time started = absl::Now();

  // The context of a handler, as made by CallContextAllocator.
  static const CallContext& Of(const grpc::CallbackServerContext& context) {
    return static_cast<const CallContext&>(context);
  }
};

// Who makes the call. Borrows from the context.
Caller CallerOf(const grpc::CallbackServerContext& context);

// For calls with large answers: request and response are emptied as soon as the answer lies in gRPC's buffers, where it
// may wait for its client for long. The handler must not use them after it has ended the call.
template <typename Request, typename Response>
void FreeWhenSerialized(grpc::CallbackServerContext& context, const Request* request, Response* response) {
  static_cast<CallContext&>(context).when_serialized = [request, response] {
    Response().Swap(response);
    Request().Swap(const_cast<Request*>(request));  // gRPC's own, made for this call, and not read again
  };
}

// Makes gRPC use CallContext.
class CallContextAllocator : public grpc::ContextAllocator {
 public:
  grpc::CallbackServerContext* NewCallbackServerContext() override { return new CallContext; }
  // Also called for contexts of unknown methods, which gRPC makes, and deletes, itself.
  void Release(grpc::CallbackServerContext* context) override { delete dynamic_cast<CallContext*>(context); }
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_CALL_CONTEXT_H_
