#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "server/rpc/model_upload.h"
#include "server/rpc/services.h"

namespace bebr {
namespace {

absl::Status Describe(Engine& engine, const std::string& name, v1::Collection* out) {
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, engine.GetCollection(name));
  ToProto(info, out);
  return absl::OkStatus();
}

}  // namespace

grpc::ServerReadReactor<v1::CreateCollectionRequest>* CollectionServiceImpl::CreateCollection(
    grpc::CallbackServerContext* context, v1::CreateCollectionResponse* response) {
  using Request = v1::CreateCollectionRequest;
  auto check = [this, context](const Request& request) -> absl::Status {
    BEBR_RETURN_IF_ERROR(
        rpc_.authenticator->Check(*context, "CreateCollection", Role::kAdmin, request.config().name()));
    if (rpc_.engine->GetCollection(request.config().name()).ok()) {  // better said before the model is uploaded
      return absl::AlreadyExistsError(absl::StrFormat("collection \"%s\" exists already", request.config().name()));
    }
    return ToCollectionConfig(request.config()).status();
  };
  auto work = [this, response](const Request& request, const std::string& model) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(const CollectionConfig config, ToCollectionConfig(request.config()));
    BEBR_RETURN_IF_ERROR(rpc_.engine->CreateCollection(config, model));
    return Describe(*rpc_.engine, config.name, response->mutable_collection());
  };
  return new ModelUploadCall<Request>(rpc_, std::move(check), std::move(work));
}

grpc::ServerReadReactor<v1::AddVersionRequest>* CollectionServiceImpl::AddVersion(grpc::CallbackServerContext* context,
                                                                                  v1::AddVersionResponse* response) {
  using Request = v1::AddVersionRequest;
  auto check = [this, context](const Request& request) -> absl::Status {
    BEBR_RETURN_IF_ERROR(
        rpc_.authenticator->Check(*context, "AddVersion", Role::kAdmin, request.config().collection()));
    return rpc_.engine->GetCollection(request.config().collection()).status();
  };
  auto work = [this, response](const Request& request, const std::string& model) -> absl::Status {
    const v1::VersionConfig& config = request.config();
    BEBR_RETURN_IF_ERROR(rpc_.engine->AddVersion(config.collection(), config.name(), model, config.compatible_with()));
    return Describe(*rpc_.engine, config.collection(), response->mutable_collection());
  };
  return new ModelUploadCall<Request>(rpc_, std::move(check), std::move(work));
}

grpc::ServerUnaryReactor* CollectionServiceImpl::GetCollection(grpc::CallbackServerContext* context,
                                                               const v1::GetCollectionRequest* request,
                                                               v1::GetCollectionResponse* response) {
  const absl::Status checked = rpc_.authenticator->Check(*context, "GetCollection", Role::kRead, request->name());
  return RunBlocking(rpc_, checked, [this, request, response] {
    return Describe(*rpc_.engine, request->name(), response->mutable_collection());
  });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::ListCollections(grpc::CallbackServerContext* context,
                                                                 const v1::ListCollectionsRequest*,
                                                                 v1::ListCollectionsResponse* response) {
  const absl::Status checked = rpc_.authenticator->Check(*context, "ListCollections", Role::kRead, "");
  return RunBlocking(rpc_, checked, [this, context, response]() -> absl::Status {
    for (const std::string& name : rpc_.engine->ListCollections()) {
      // A key for some collections sees those only.
      if (!rpc_.authenticator->Check(*context, "ListCollections", Role::kRead, name).ok()) continue;
      const auto info = rpc_.engine->GetCollection(name);
      if (info.ok()) ToProto(*info, response->add_collections());  // else dropped meanwhile
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::DeleteCollection(grpc::CallbackServerContext* context,
                                                                  const v1::DeleteCollectionRequest* request,
                                                                  v1::DeleteCollectionResponse*) {
  const absl::Status checked = rpc_.authenticator->Check(*context, "DeleteCollection", Role::kAdmin, request->name());
  return RunBlocking(rpc_, checked, [this, request] { return rpc_.engine->DeleteCollection(request->name()); });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::PromoteVersion(grpc::CallbackServerContext* context,
                                                                const v1::PromoteVersionRequest* request,
                                                                v1::PromoteVersionResponse* response) {
  const absl::Status checked =
      rpc_.authenticator->Check(*context, "PromoteVersion", Role::kAdmin, request->collection());
  return RunBlocking(rpc_, checked, [this, request, response]() -> absl::Status {
    BEBR_RETURN_IF_ERROR(
        rpc_.engine->PromoteVersion(request->collection(), request->version(), request->expected_default()));
    return Describe(*rpc_.engine, request->collection(), response->mutable_collection());
  });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::RetireVersion(grpc::CallbackServerContext* context,
                                                               const v1::RetireVersionRequest* request,
                                                               v1::RetireVersionResponse* response) {
  const absl::Status checked =
      rpc_.authenticator->Check(*context, "RetireVersion", Role::kAdmin, request->collection());
  return RunBlocking(rpc_, checked, [this, request, response]() -> absl::Status {
    BEBR_RETURN_IF_ERROR(rpc_.engine->RetireVersion(request->collection(), request->version()));
    return Describe(*rpc_.engine, request->collection(), response->mutable_collection());
  });
}

}  // namespace bebr
