// The collection service's calls about aliases. What a caller may do is decided by the collections that are named,
// never by the alias.
#include <optional>
#include <string>

#include "index/base/status_macros.h"
#include "server/access/auth.h"
#include "server/call/call_context.h"
#include "server/rpc/services.h"
#include "server/rpc/unary_call.h"

namespace bebr {

grpc::ServerUnaryReactor* CollectionServiceImpl::SetAlias(grpc::CallbackServerContext* context,
                                                          const v1::SetAliasRequest* request, v1::SetAliasResponse*) {
  const v1::Alias& alias = request->alias();
  absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "SetAlias", Role::kAdmin, alias.collection());
  // Switching it takes it away from the collection it names now.
  const std::string current = rpc_.engine->Resolve(alias.name());
  if (checked.ok() && current != alias.name()) {
    checked = rpc_.authenticator->Check(CallerOf(*context), "SetAlias", Role::kAdmin, current);
  }
  return RunBlocking(rpc_, checked, [this, request] {
    std::optional<std::string_view> expected;
    if (request->has_expected_collection()) expected = request->expected_collection();
    return rpc_.engine->SetAlias(request->alias().name(), request->alias().collection(), expected);
  });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::ListAliases(grpc::CallbackServerContext* context,
                                                             const v1::ListAliasesRequest*,
                                                             v1::ListAliasesResponse* response) {
  const absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "ListAliases", Role::kRead, "");
  return RunBlocking(rpc_, checked, [this, context, response] {
    for (const Alias& alias : rpc_.engine->ListAliases()) {
      // A key for some collections sees their aliases only.
      if (!rpc_.authenticator->May(CallerOf(*context), Role::kRead, alias.collection)) continue;
      v1::Alias* out = response->add_aliases();
      out->set_name(alias.name);
      out->set_collection(alias.collection);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::DeleteAlias(grpc::CallbackServerContext* context,
                                                             const v1::DeleteAliasRequest* request,
                                                             v1::DeleteAliasResponse*) {
  const absl::Status checked =
      rpc_.authenticator->Check(CallerOf(*context), "DeleteAlias", Role::kAdmin, rpc_.engine->Resolve(request->name()));
  return RunBlocking(rpc_, checked, [this, request] { return rpc_.engine->DeleteAlias(request->name()); });
}

}  // namespace bebr
