#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "server/access/auth.h"
#include "server/call/call_context.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/model_upload.h"
#include "server/rpc/services.h"
#include "server/rpc/unary_call.h"

namespace bebr {
grpc::ServerReadReactor<v1::CreateCollectionRequest>* CollectionServiceImpl::CreateCollection(
    grpc::CallbackServerContext* context, v1::CreateCollectionResponse* response) {
  using Request = v1::CreateCollectionRequest;
  auto check = [this, context](const Request& request) -> absl::Status {
    BEBR_RETURN_IF_ERROR(
        rpc_.authenticator->Check(CallerOf(*context), "CreateCollection", Role::kAdmin, request.config().name()));
    if (rpc_.engine->GetCollection(request.config().name()).ok()) {  // better said before the model is uploaded
      return absl::AlreadyExistsError(absl::StrFormat("collection \"%s\" exists already", request.config().name()));
    }
    return ToCollectionConfig(request.config()).status();
  };
  auto work = [this, response](const Request& request, const std::string& model) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(const CollectionConfig config, ToCollectionConfig(request.config()));
    BEBR_RETURN_IF_ERROR(rpc_.engine->CreateCollection(config, model));
    return Describe(rpc_, config.name, response->mutable_collection());
  };
  return new ModelUploadCall<Request>(rpc_, std::move(check), std::move(work));
}

grpc::ServerUnaryReactor* CollectionServiceImpl::GetCollection(grpc::CallbackServerContext* context,
                                                               const v1::GetCollectionRequest* request,
                                                               v1::GetCollectionResponse* response) {
  const std::string name = rpc_.engine->Resolve(request->name());
  const absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "GetCollection", Role::kRead, name);
  return RunBlocking(rpc_, checked,
                     [this, name, response] { return Describe(rpc_, name, response->mutable_collection()); });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::ListCollections(grpc::CallbackServerContext* context,
                                                                 const v1::ListCollectionsRequest*,
                                                                 v1::ListCollectionsResponse* response) {
  const absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "ListCollections", Role::kRead, "");
  return RunBlocking(rpc_, checked, [this, context, response]() -> absl::Status {
    for (const std::string& name : rpc_.engine->ListCollections()) {
      // A key for some collections sees those only.
      if (!rpc_.authenticator->May(CallerOf(*context), Role::kRead, name)) continue;
      const auto info = rpc_.engine->GetCollection(name);
      if (info.ok()) ToProto(*info, response->add_collections());  // else dropped meanwhile
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::DeleteCollection(grpc::CallbackServerContext* context,
                                                                  const v1::DeleteCollectionRequest* request,
                                                                  v1::DeleteCollectionResponse*) {
  const absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "DeleteCollection", Role::kAdmin,
                                                         rpc_.engine->Resolve(request->name()));
  return RunBlocking(rpc_, checked, [this, request] { return rpc_.engine->DeleteCollection(request->name()); });
}

}  // namespace bebr
