// The collection service's calls about versions.
#include <algorithm>
#include <string>

#include "bebr/v1/collections.pb.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"
#include "server/rpc/model_upload.h"

namespace bebr {
namespace {

Target OfNewVersion(const v1::AddVersionRequest& request) {
  return {.collection = request.config().collection(), .object = request.config().name()};
}

bool AdditionHasModel(const v1::AddVersionRequest&) { return true; }

absl::Status CheckAddition(RpcContext& rpc, const Call& call, const v1::AddVersionRequest&) {
  return rpc.engine->GetCollection(call.collection()).status();  // better said before the model is uploaded
}

absl::Status AddVersion(RpcContext& rpc, const Call& call, const v1::AddVersionRequest& request,
                        const std::string& model, v1::AddVersionResponse& response) {
  const VersionConfig config{.name = request.config().name(),
                             .compatible_with = request.config().compatible_with(),
                             .same_embeddings_as = request.config().same_embeddings_as()};
  BEBR_RETURN_IF_ERROR(rpc.engine->AddVersion(call.collection(), config, model));
  return Describe(rpc, call.collection(), response.mutable_collection());
}

absl::Status PromoteVersion(RpcContext& rpc, const Call& call, const v1::PromoteVersionRequest& request,
                            v1::PromoteVersionResponse& response) {
  BEBR_RETURN_IF_ERROR(
      rpc.engine->PromoteVersion(call.collection(), request.version(), request.expected_default(), request.force()));
  BEBR_RETURN_IF_ERROR(Describe(rpc, call.collection(), response.mutable_collection()));
  const v1::Collection& collection = response.collection();
  for (const v1::Version& version : collection.versions()) {
    if (version.name() != collection.default_version()) continue;
    uint64_t coded = 0;
    for (const v1::Version& other : collection.versions())
      coded += other.space() == version.space() ? other.documents() : 0;
    response.set_documents_without_code(collection.documents() - std::min(collection.documents(), coded));
    if (collection.store_floats() == v1::FLOAT_STORAGE_NONE) continue;
    response.set_documents_without_embedding(collection.documents() -
                                             std::min(collection.documents(), version.embeddings()));
  }
  return absl::OkStatus();
}

absl::Status RetireVersion(RpcContext& rpc, const Call& call, const v1::RetireVersionRequest& request,
                           v1::RetireVersionResponse& response) {
  BEBR_RETURN_IF_ERROR(rpc.engine->RetireVersion(call.collection(), request.version()));
  return Describe(rpc, call.collection(), response.mutable_collection());
}

absl::Status BackfillVersion(RpcContext& rpc, const Call& call, const v1::BackfillVersionRequest& request,
                             v1::BackfillVersionResponse& response) {
  const absl::Status done =
      request.stop() ? rpc.engine->StopBackfill(call.collection(), request.version())
                     : rpc.engine->StartBackfill(call.collection(), request.version(), request.documents_per_s());
  BEBR_RETURN_IF_ERROR(done);
  return Describe(rpc, call.collection(), response.mutable_collection());
}

absl::Status CheckVersion(RpcContext& rpc, const Call& call, const v1::CheckVersionRequest& request,
                          v1::CheckVersionResponse& response) {
  VectorArena arena;
  BEBR_ASSIGN_OR_RETURN(CheckRequest check, ToCheckRequest(request, arena));
  check.deadline = call.deadline();
  check.cancelled = call.cancelled();
  BEBR_ASSIGN_OR_RETURN(const VersionCheck found, rpc.engine->CheckVersion(call.collection(), check));
  ToProto(found, response.mutable_check());
  return absl::OkStatus();
}

}  // namespace

std::vector<Method> VersionMethods() {
  return {
      ModelUpload("/bebr.v1.CollectionService/AddVersion", OfNewVersion, AdditionHasModel, CheckAddition, AddVersion),
      Blocking("/bebr.v1.CollectionService/PromoteVersion", Role::kAdmin, OfVersion, PromoteVersion),
      Blocking("/bebr.v1.CollectionService/RetireVersion", Role::kAdmin, OfVersion, RetireVersion),
      Blocking("/bebr.v1.CollectionService/BackfillVersion", Role::kAdmin, OfVersion, BackfillVersion),
      Blocking("/bebr.v1.CollectionService/CheckVersion", Role::kAdmin, OfVersion, CheckVersion)};
}

}  // namespace bebr
