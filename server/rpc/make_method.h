// What the lists of methods are made with.
//
//   Blocking("/bebr.v1.CollectionService/PromoteVersion", Role::kAdmin, OfVersion, PromoteVersion)
#ifndef BEBR_SERVER_RPC_MAKE_METHOD_H_
#define BEBR_SERVER_RPC_MAKE_METHOD_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "server/access/auth.h"
#include "server/call/method.h"
#include "server/call/rpc_context.h"
#include "server/call/unary_call.h"

namespace bebr {

// Of requests that name no collection; of those that name one; and a version of it.
template <typename Request>
Target OfNone(const Request&) {
  return {};
}
template <typename Request>
Target OfCollection(const Request& request) {
  return {.collection = request.collection()};
}
template <typename Request>
Target OfVersion(const Request& request) {
  return {.collection = request.collection(), .object = request.version()};
}

template <typename Request, typename Response>
Method MethodOf(std::string path, std::optional<Role> role) {
  Method method;
  method.path = std::move(path);
  method.role = role;
  method.request = Request::descriptor();
  method.response = Response::descriptor();
  method.audited = role == Role::kAdmin;
  return method;
}

// A method whose `handler` must end in call.Done, and must not block.
template <typename Request, typename Response>
Method Unary(std::string path, std::optional<Role> role, Target (*target)(const Request&),
             std::function<void(RpcContext&, UnaryCall<Request, Response>&)> handler) {
  Method method = MethodOf<Request, Response>(std::move(path), role);
  method.make = [target, handler = std::move(handler)](CallStart start) -> Call* {
    return new UnaryCall<Request, Response>(std::move(start), target, handler);
  };
  return method;
}

// A method whose `work` runs on the blocking pool, fills the response, and returns the call's status. It does not begin
// for a caller who has gone, or whose time is over, meanwhile.
template <typename Request, typename Response>
Method Blocking(std::string path, std::optional<Role> role, Target (*target)(const Request&),
                absl::Status (*work)(RpcContext&, const Call&, const Request&, Response&)) {
  auto handler = [work](RpcContext& rpc, UnaryCall<Request, Response>& call) {
    const absl::Status submitted = rpc.blocking->TrySubmit([work, &rpc, &call] {
      const absl::Status interrupted = call.Interrupted();
      call.Done(interrupted.ok() ? work(rpc, call, call.request(), call.response()) : interrupted);
    });
    if (!submitted.ok()) call.Done(submitted);
  };
  return Unary<Request, Response>(std::move(path), role, target, std::move(handler));
}

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_MAKE_METHOD_H_
