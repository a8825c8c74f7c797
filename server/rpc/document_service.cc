#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "server/access/auth.h"
#include "server/call/call_context.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/services.h"
#include "server/rpc/stream_upsert.h"
#include "server/rpc/unary_call.h"

namespace bebr {
namespace {

constexpr size_t kIdsPerRead = 500;

absl::Status CheckIds(const google::protobuf::RepeatedPtrField<std::string>& ids) {
  BEBR_RETURN_IF_ERROR(ValidateCount("ids", static_cast<size_t>(ids.size()), kMaxDocumentsPerRequest));
  for (int i = 0; i < ids.size(); ++i) {
    if (ids[i].empty() || ids[i].size() > kMaxIdBytes) return ValidateId(absl::StrFormat("ids[%d]", i), ids[i]);
  }
  return absl::OkStatus();
}

absl::StatusOr<UpsertRequest> ToUpsert(const std::string& collection, const v1::UpsertRequest& request,
                                       VectorArena& arena) {
  UpsertRequest upsert;
  upsert.collection = collection;
  BEBR_ASSIGN_OR_RETURN(upsert.mode, ToUpsertMode(request.mode()));
  BEBR_ASSIGN_OR_RETURN(upsert.documents, ToDocuments(request.documents(), arena));
  return upsert;
}

}  // namespace

grpc::ServerUnaryReactor* DocumentServiceImpl::Upsert(grpc::CallbackServerContext* context,
                                                      const v1::UpsertRequest* request, v1::UpsertResponse* response) {
  auto* call = new UnaryCall;
  const std::string collection = rpc_.engine->Resolve(request->collection());
  absl::Status checked =
      rpc_.authenticator->Check(CallerOf(*context), "Upsert", Role::kWrite, collection, request->ByteSizeLong());
  auto upsert = checked.ok() ? ToUpsert(collection, *request, call->arena()) : absl::StatusOr<UpsertRequest>(checked);
  if (!upsert.ok()) {
    call->End(upsert.status());
    return call;
  }
  rpc_.engine->Upsert(*std::move(upsert), [call, response](absl::StatusOr<UpsertResult> result) {
    if (result.ok()) {
      response->set_documents(result->documents);
      response->set_created(result->created);
      for (std::string& id : result->unknown_ids) response->add_unknown_ids(std::move(id));
    }
    call->End(result.status());
  });
  return call;
}

grpc::ServerBidiReactor<v1::StreamUpsertRequest, v1::StreamUpsertResponse>* DocumentServiceImpl::StreamUpsert(
    grpc::CallbackServerContext* context) {
  return StreamUpsertCall::Start(rpc_, *context);
}

grpc::ServerUnaryReactor* DocumentServiceImpl::Get(grpc::CallbackServerContext* context, const v1::GetRequest* request,
                                                   v1::GetResponse* response) {
  const std::string collection = rpc_.engine->Resolve(request->collection());
  absl::Status checked =
      rpc_.authenticator->Check(CallerOf(*context), "Get", Role::kRead, collection, request->ByteSizeLong());
  if (checked.ok()) checked = CheckIds(request->ids());
  if (checked.ok()) checked = rpc_.responses->Admit();
  FreeWhenSerialized(*context, request, response);
  return RunBlocking(rpc_, checked, [this, collection, request, response]() -> absl::Status {
    const std::vector<std::string> ids(request->ids().begin(), request->ids().end());
    // In pieces, so that an answer that is too large is found before it is all in memory.
    for (size_t first = 0; first < ids.size(); first += kIdsPerRead) {
      const auto piece = absl::MakeConstSpan(ids).subspan(first, kIdsPerRead);
      BEBR_ASSIGN_OR_RETURN(auto documents, rpc_.engine->Get(collection, piece, request->with_embeddings()));
      for (Document& document : documents) ToProto(std::move(document), response->add_documents());
      BEBR_RETURN_IF_ERROR(CheckSize(rpc_, *response, "ask for fewer ids"));
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* DocumentServiceImpl::Delete(grpc::CallbackServerContext* context,
                                                      const v1::DeleteRequest* request, v1::DeleteResponse* response) {
  auto* call = new UnaryCall;
  const std::string collection = rpc_.engine->Resolve(request->collection());
  absl::Status checked =
      rpc_.authenticator->Check(CallerOf(*context), "Delete", Role::kWrite, collection, request->ByteSizeLong());
  if (checked.ok()) checked = CheckIds(request->ids());
  if (!checked.ok()) {
    call->End(checked);
    return call;
  }
  std::vector<std::string> ids(request->ids().begin(), request->ids().end());
  rpc_.engine->Delete(collection, std::move(ids), [call, response](absl::StatusOr<uint64_t> deleted) {
    if (deleted.ok()) response->set_deleted(*deleted);
    call->End(deleted.status());
  });
  return call;
}

}  // namespace bebr
