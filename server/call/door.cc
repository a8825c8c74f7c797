#include "server/call/door.h"

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"
#include "server/call/call.h"
#include "server/call/refused_call.h"

namespace bebr {
namespace {

constexpr size_t kMaxPathBytes = 128;  // of a message
constexpr absl::Duration kRefusalDelay = absl::Seconds(1);

CallKind KindOf(const Method& method) {
  if (absl::StartsWith(method.path, "/bebr.v1.SearchService/")) return CallKind::kSearch;
  const bool document = absl::StartsWith(method.path, "/bebr.v1.DocumentService/");
  return document && method.role == Role::kWrite ? CallKind::kWrite : CallKind::kOther;
}

}  // namespace

Door::Door(RpcContext& rpc, std::vector<Method> methods, const FieldLimits& limits) : rpc_(rpc) {
  for (Method& method : methods) {
    method.kind = KindOf(method);
    method.counters = &rpc.metrics->ForMethod(method.path);
    method.schema = std::make_shared<WireSchema>(method.request, limits);
    const std::string path = method.path;
    methods_.emplace(path, std::move(method));
  }
  unknown_.path = "unknown";
  unknown_.counters = &rpc.metrics->ForMethod(unknown_.path);
}

const Method* Door::Find(const std::string& path) const {
  const auto found = methods_.find(path);
  return found == methods_.end() ? nullptr : &found->second;
}

absl::StatusOr<Identity> Door::MayCall(const Method& method, std::string_view key) const {
  if (!method.role.has_value()) return Identity();
  BEBR_ASSIGN_OR_RETURN(Identity identity, rpc_.authenticator->Identify(key));
  BEBR_RETURN_IF_ERROR(identity.MayDo(*method.role));
  return identity;
}

absl::Status Door::Admit(CallStart& start) {
  if (!start.method.role.has_value()) {
    start.slot = rpc_.keyless.Enter(start.peer, /*lasts=*/start.method.server_streams);
    if (!start.slot.entered())
      return TryAgainLater("too many calls without a key are in progress; try again later", kRefusalDelay);
    rpc_.greeted(start.peer);
    return absl::OkStatus();
  }
  BEBR_ASSIGN_OR_RETURN(start.identity, rpc_.authenticator->Identify(BearerKey(start.context.client_metadata())));
  BEBR_RETURN_IF_ERROR(start.identity.MayDo(*start.method.role));
  rpc_.known(start.peer);
  return absl::OkStatus();
}

grpc::ServerGenericBidiReactor* Door::CreateReactor(grpc::GenericCallbackServerContext* context) {
  std::string peer(PassedOnPeer(context->client_metadata(), rpc_.peer_secret));
  const bool passed_on = !peer.empty();
  if (!passed_on) peer = context->peer();
  rpc_.begun(context, peer);
  const Method* const method = Find(context->method());
  if (method == nullptr) {
    return new RefusedCall({rpc_, unknown_, *context, std::move(peer), {}, {}, {}},
                           absl::UnimplementedError(absl::StrFormat("this server has no method \"%s\"",
                                                                    context->method().substr(0, kMaxPathBytes))),
                           /*quiet=*/true);
  }
  Gate::Pass pass = method->while_stopping ? Gate::Pass() : rpc_.gate.Enter(peer);
  CallStart start{rpc_, *method, *context, std::move(peer), {}, {}, std::move(pass), passed_on};
  if (!start.pass.entered() && !method->while_stopping)
    return new RefusedCall(std::move(start), absl::UnavailableError("the server is stopping"), /*quiet=*/true);
  absl::Status admitted = Admit(start);
  if (admitted.ok()) return method->make(std::move(start));
  const bool quiet = !rpc_.refusals.Take(start.peer);
  if (quiet && absl::IsUnauthenticated(admitted)) {
    admitted = TryAgainLater(
        "this address has made many calls without a key that the server knows; show a key in the metadata "
        "\"authorization: Bearer KEY\", and try again later",
        kRefusalDelay);
  }
  start.pass = {};  // a flood of refusals does not hold up the end
  return new RefusedCall(std::move(start), admitted, quiet);
}

}  // namespace bebr
