// The collection service's calls about aliases. What a caller may do is decided by the collections that are named,
// never by the alias; a name that stands for none yet is decided by itself, as that of a new collection is.
#include <optional>
#include <string_view>

#include "bebr/v1/collections.pb.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "index/gateway_engine.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"

namespace bebr {
namespace {

// Switching an alias takes it away from the collection that it names now.
Target OfAlias(const v1::SetAliasRequest& request) {
  return {.collection = request.alias().collection(), .other = request.alias().name(), .object = {}};
}

absl::Status SetAlias(RpcContext& rpc, const Call&, const v1::SetAliasRequest& request, v1::SetAliasResponse&) {
  std::optional<std::string_view> expected;
  if (request.has_expected_collection()) expected = request.expected_collection();
  return rpc.engine->SetAlias(request.alias().name(), request.alias().collection(), expected);
}

absl::Status ListAliases(RpcContext& rpc, const Call& call, const v1::ListAliasesRequest&,
                         v1::ListAliasesResponse& response) {
  if (rpc.cluster != nullptr) BEBR_RETURN_IF_ERROR(rpc.cluster->Ready());
  for (const Alias& alias : rpc.engine->ListAliases()) {
    if (!call.identity().Sees(alias.collection)) continue;
    v1::Alias* out = response.add_aliases();
    out->set_name(alias.name);
    out->set_collection(alias.collection);
  }
  return absl::OkStatus();
}

Target OfDeletedAlias(const v1::DeleteAliasRequest& request) { return {.collection = request.name()}; }

absl::Status DeleteAlias(RpcContext& rpc, const Call&, const v1::DeleteAliasRequest& request,
                         v1::DeleteAliasResponse&) {
  return rpc.engine->DeleteAlias(request.name());
}

}  // namespace

std::vector<Method> AliasMethods() {
  return {Blocking("/bebr.v1.CollectionService/SetAlias", Role::kAdmin, OfAlias, SetAlias),
          Blocking("/bebr.v1.CollectionService/ListAliases", Role::kRead, OfNone, ListAliases),
          Blocking("/bebr.v1.CollectionService/DeleteAlias", Role::kAdmin, OfDeletedAlias, DeleteAlias)};
}

}  // namespace bebr
