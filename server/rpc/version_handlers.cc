// The collection service's calls about versions.
#include <string>
#include <utility>

#include "index/base/status_macros.h"
#include "server/access/auth.h"
#include "server/call/call_context.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/model_upload.h"
#include "server/rpc/services.h"
#include "server/rpc/unary_call.h"

namespace bebr {
namespace {

VersionConfig ToVersionConfig(const v1::VersionConfig& config) {
  return {.name = config.name(),
          .compatible_with = config.compatible_with(),
          .same_embeddings_as = config.same_embeddings_as()};
}

}  // namespace

grpc::ServerReadReactor<v1::AddVersionRequest>* CollectionServiceImpl::AddVersion(grpc::CallbackServerContext* context,
                                                                                  v1::AddVersionResponse* response) {
  using Request = v1::AddVersionRequest;
  auto collection = std::make_shared<std::string>();  // that of the first message, for the work at the end
  auto check = [this, context, collection](const Request& request) -> absl::Status {
    *collection = rpc_.engine->Resolve(request.config().collection());
    BEBR_RETURN_IF_ERROR(rpc_.authenticator->Check(CallerOf(*context), "AddVersion", Role::kAdmin, *collection));
    return rpc_.engine->GetCollection(*collection).status();
  };
  auto work = [this, response, collection](const Request& request, const std::string& model) -> absl::Status {
    BEBR_RETURN_IF_ERROR(rpc_.engine->AddVersion(*collection, ToVersionConfig(request.config()), model));
    return Describe(rpc_, *collection, response->mutable_collection());
  };
  return new ModelUploadCall<Request>(rpc_, std::move(check), std::move(work));
}

grpc::ServerUnaryReactor* CollectionServiceImpl::PromoteVersion(grpc::CallbackServerContext* context,
                                                                const v1::PromoteVersionRequest* request,
                                                                v1::PromoteVersionResponse* response) {
  const std::string collection = rpc_.engine->Resolve(request->collection());
  const absl::Status checked =
      rpc_.authenticator->Check(CallerOf(*context), "PromoteVersion", Role::kAdmin, collection);
  return RunBlocking(rpc_, checked, [this, collection, request, response]() -> absl::Status {
    BEBR_RETURN_IF_ERROR(
        rpc_.engine->PromoteVersion(collection, request->version(), request->expected_default(), request->force()));
    return Describe(rpc_, collection, response->mutable_collection());
  });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::RetireVersion(grpc::CallbackServerContext* context,
                                                               const v1::RetireVersionRequest* request,
                                                               v1::RetireVersionResponse* response) {
  const std::string collection = rpc_.engine->Resolve(request->collection());
  const absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "RetireVersion", Role::kAdmin, collection);
  return RunBlocking(rpc_, checked, [this, collection, request, response]() -> absl::Status {
    BEBR_RETURN_IF_ERROR(rpc_.engine->RetireVersion(collection, request->version()));
    return Describe(rpc_, collection, response->mutable_collection());
  });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::BackfillVersion(grpc::CallbackServerContext* context,
                                                                 const v1::BackfillVersionRequest* request,
                                                                 v1::BackfillVersionResponse* response) {
  const std::string collection = rpc_.engine->Resolve(request->collection());
  const absl::Status checked =
      rpc_.authenticator->Check(CallerOf(*context), "BackfillVersion", Role::kAdmin, collection);
  return RunBlocking(rpc_, checked, [this, collection, request, response]() -> absl::Status {
    const absl::Status done =
        request->stop() ? rpc_.engine->StopBackfill(collection, request->version())
                        : rpc_.engine->StartBackfill(collection, request->version(), request->documents_per_s());
    BEBR_RETURN_IF_ERROR(done);
    return Describe(rpc_, collection, response->mutable_collection());
  });
}

grpc::ServerUnaryReactor* CollectionServiceImpl::CheckVersion(grpc::CallbackServerContext* context,
                                                              const v1::CheckVersionRequest* request,
                                                              v1::CheckVersionResponse* response) {
  const std::string collection = rpc_.engine->Resolve(request->collection());
  const absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "CheckVersion", Role::kAdmin, collection);
  return RunBlocking(rpc_, checked, [this, collection, request, response]() -> absl::Status {
    VectorArena arena;
    BEBR_ASSIGN_OR_RETURN(const CheckRequest check, ToCheckRequest(*request, arena));
    BEBR_ASSIGN_OR_RETURN(const VersionCheck found, rpc_.engine->CheckVersion(collection, check));
    ToProto(found, response->mutable_check());
    return absl::OkStatus();
  });
}

}  // namespace bebr
