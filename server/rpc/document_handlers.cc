#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "bebr/v1/documents.pb.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"
#include "server/rpc/stream_upsert.h"

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

void Upsert(RpcContext& rpc, UnaryCall<v1::UpsertRequest, v1::UpsertResponse>& call) {
  auto arena = std::make_unique<VectorArena>();
  auto upsert = ToUpsert(call.collection(), call.request(), *arena);
  if (!upsert.ok()) return call.Done(upsert.status());
  rpc.engine->Upsert(*std::move(upsert), [&call, arena = std::move(arena)](absl::StatusOr<UpsertResult> result) {
    if (result.ok()) {
      call.response().set_documents(result->documents);
      call.response().set_created(result->created);
      for (std::string& id : result->unknown_ids) call.response().add_unknown_ids(std::move(id));
    }
    call.Done(result.status());
  });
}

absl::Status Get(RpcContext& rpc, const Call& call, const v1::GetRequest& request, v1::GetResponse& response) {
  BEBR_RETURN_IF_ERROR(CheckIds(request.ids()));
  BEBR_RETURN_IF_ERROR(rpc.responses->Admit());
  const std::vector<std::string> ids(request.ids().begin(), request.ids().end());
  // In pieces, so that an answer that is too large is found before it is all in memory.
  for (size_t first = 0; first < ids.size(); first += kIdsPerRead) {
    const auto piece = absl::MakeConstSpan(ids).subspan(first, kIdsPerRead);
    BEBR_ASSIGN_OR_RETURN(auto documents, rpc.engine->Get(call.collection(), piece, request.with_embeddings()));
    for (Document& document : documents) ToProto(std::move(document), response.add_documents());
    BEBR_RETURN_IF_ERROR(CheckSize(rpc, response, "ask for fewer ids"));
  }
  return absl::OkStatus();
}

Target OfDeletion(const v1::DeleteRequest& request) {
  return {.collection = request.collection(),
          .other = {},
          .object = request.ids().empty() ? "" : absl::StrFormat("%d ids from %s", request.ids_size(), request.ids(0))};
}

void Delete(RpcContext& rpc, UnaryCall<v1::DeleteRequest, v1::DeleteResponse>& call) {
  const auto& ids = call.request().ids();
  if (const absl::Status checked = CheckIds(ids); !checked.ok()) return call.Done(checked);
  rpc.engine->Delete(call.collection(), std::vector<std::string>(ids.begin(), ids.end()),
                     [&call](absl::StatusOr<uint64_t> deleted) {
                       if (deleted.ok()) call.response().set_deleted(*deleted);
                       call.Done(deleted.status());
                     });
}

}  // namespace

std::vector<Method> DocumentMethods() {
  Method deletion =
      Unary<v1::DeleteRequest, v1::DeleteResponse>("/bebr.v1.DocumentService/Delete", Role::kWrite, OfDeletion, Delete);
  deletion.audited = true;
  return {Unary<v1::UpsertRequest, v1::UpsertResponse>("/bebr.v1.DocumentService/Upsert", Role::kWrite, OfCollection,
                                                       Upsert),
          StreamUpsertMethod(), Blocking("/bebr.v1.DocumentService/Get", Role::kRead, OfCollection, Get), deletion};
}

}  // namespace bebr
