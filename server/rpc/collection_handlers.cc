#include <string>

#include "absl/strings/str_format.h"
#include "bebr/v1/collections.pb.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "index/gateway_engine.h"
#include "server/call/hidden_paths.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"
#include "server/rpc/model_upload.h"

namespace bebr {
namespace {

template <typename Request>
Target OfName(const Request& request) {
  return {.collection = request.name()};
}

Target OfNewCollection(const v1::CreateCollectionRequest& request) { return {.collection = request.config().name()}; }

bool CreationHasModel(const v1::CreateCollectionRequest& request) { return !request.config().has_auto_binarizer(); }

absl::Status CheckCreation(RpcContext& rpc, const Call&, const v1::CreateCollectionRequest& request) {
  if (rpc.engine->GetCollection(request.config().name()).ok()) {  // better said before the model is uploaded
    return absl::AlreadyExistsError(absl::StrFormat("collection \"%s\" exists already", request.config().name()));
  }
  return ToCollectionConfig(request.config()).status();
}

absl::Status CreateCollection(RpcContext& rpc, const Call&, const v1::CreateCollectionRequest& request,
                              const std::string& model, v1::CreateCollectionResponse& response) {
  BEBR_ASSIGN_OR_RETURN(const CollectionConfig config, ToCollectionConfig(request.config()));
  BEBR_RETURN_IF_ERROR(rpc.engine->CreateCollection(config, model));
  return Describe(rpc, config.name, response.mutable_collection());
}

absl::Status GetCollection(RpcContext& rpc, const Call& call, const v1::GetCollectionRequest&,
                           v1::GetCollectionResponse& response) {
  return Describe(rpc, call.collection(), response.mutable_collection());
}

absl::Status ListCollections(RpcContext& rpc, const Call& call, const v1::ListCollectionsRequest&,
                             v1::ListCollectionsResponse& response) {
  if (rpc.cluster != nullptr) BEBR_RETURN_IF_ERROR(rpc.cluster->Ready());
  for (const std::string& name : rpc.engine->ListCollections()) {
    // A key for some collections sees those only.
    if (!call.identity().Sees(name)) continue;
    const auto info = rpc.engine->GetCollection(name);
    if (info.ok()) ToProto(*info, response.add_collections());  // else dropped meanwhile
  }
  for (const UnavailableCollection& unavailable : rpc.engine->UnavailableCollections()) {
    if (!call.identity().Sees(unavailable.name)) continue;
    v1::UnavailableCollection* out = response.add_unavailable();
    out->set_name(unavailable.name);
    out->set_reason(ForCallers(unavailable.reason));
  }
  return absl::OkStatus();
}

// By its name, never by an alias.
absl::Status DeleteCollection(RpcContext& rpc, const Call&, const v1::DeleteCollectionRequest& request,
                              v1::DeleteCollectionResponse&) {
  return rpc.engine->DeleteCollection(request.name());
}

}  // namespace

std::vector<Method> CollectionMethods() {
  return {ModelUpload("/bebr.v1.CollectionService/CreateCollection", OfNewCollection, CreationHasModel, CheckCreation,
                      CreateCollection),
          Blocking("/bebr.v1.CollectionService/GetCollection", Role::kRead, OfName, GetCollection),
          Blocking("/bebr.v1.CollectionService/ListCollections", Role::kRead, OfNone, ListCollections),
          Blocking("/bebr.v1.CollectionService/DeleteCollection", Role::kAdmin, OfName, DeleteCollection)};
}

}  // namespace bebr
