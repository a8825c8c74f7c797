#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "bebr/v1/documents.pb.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "server/call/status.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/filter_text.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"
#include "server/rpc/stream_upsert.h"

namespace bebr {
namespace {

constexpr size_t kIdsPerRead = 64;  // of a megabyte each, at most

absl::Status CheckIds(const google::protobuf::RepeatedPtrField<std::string>& ids) {
  BEBR_RETURN_IF_ERROR(ValidateCount("ids", static_cast<size_t>(ids.size()), kMaxDocumentsPerRequest));
  for (int i = 0; i < ids.size(); ++i) {
    if (ids[i].empty() || ids[i].size() > kMaxIdBytes) return ValidateId(absl::StrFormat("ids[%d]", i), ids[i]);
  }
  return absl::OkStatus();
}

void Upsert(RpcContext& rpc, UnaryCall<v1::UpsertRequest, v1::UpsertResponse>& call) {
  auto arena = std::make_unique<VectorArena>();
  auto upsert = ToUpsertRequest(call.collection(), call.request(), *arena);
  if (!upsert.ok()) return call.Done(upsert.status());
  rpc.engine->Upsert(*std::move(upsert), [&call, arena = std::move(arena)](absl::StatusOr<UpsertResult> result) {
    if (result.ok()) {
      call.AddWritten(result->timings);
      ToProto(*result, &call.response());
    }
    call.Done(result.status());
  });
}

absl::Status Get(RpcContext& rpc, const Call& call, const v1::GetRequest& request, v1::GetResponse& response) {
  BEBR_RETURN_IF_ERROR(CheckIds(request.ids()));
  BEBR_RETURN_IF_ERROR(call.AdmitAnswer());
  const std::vector<std::string> ids(request.ids().begin(), request.ids().end());
  // In pieces, so that an answer that is too large is found before it is all in memory.
  for (size_t first = 0; first < ids.size(); first += kIdsPerRead) {
    const auto piece = absl::MakeConstSpan(ids).subspan(first, kIdsPerRead);
    BEBR_RETURN_IF_ERROR(call.Interrupted());
    BEBR_ASSIGN_OR_RETURN(auto documents, rpc.engine->Get(call.collection(), piece, request.with_embeddings()));
    BEBR_RETURN_IF_ERROR(AddDocuments(call, std::move(documents), response));
    BEBR_RETURN_IF_ERROR(CheckSize(rpc, response, "ask for fewer ids"));
  }
  return absl::OkStatus();
}

// What the audit says of a write to several documents.
template <typename Request>
Target OfDocuments(const Request& request) {
  const std::string what = request.ids().empty()
                               ? absl::StrFormat("by filter %s", ShortMessage(ReadFilter(request).value_or("")))
                               : absl::StrFormat("%d ids from %s", request.ids_size(), ShortMessage(request.ids(0)));
  return {.collection = request.collection(), .other = {}, .object = what};
}

void Delete(RpcContext& rpc, UnaryCall<v1::DeleteRequest, v1::DeleteResponse>& call) {
  const auto& ids = call.request().ids();
  const absl::StatusOr<std::string> filter = ReadFilter(call.request());
  if (!filter.ok()) return call.Done(filter.status());
  auto deleted = [&call](absl::StatusOr<ChangeResult> result) {
    if (result.ok()) {
      call.AddWritten(result->timings);
      call.response().set_deleted(result->documents);
      for (std::string& warning : result->warnings) call.response().add_warnings(std::move(warning));
    }
    call.Done(result.status());
  };
  if (filter->empty()) {
    if (const absl::Status checked = CheckIds(ids); !checked.ok()) return call.Done(checked);
    return rpc.engine->Delete(call.collection(), std::vector<std::string>(ids.begin(), ids.end()), std::move(deleted));
  }
  if (!ids.empty()) return call.Done(absl::InvalidArgumentError("filter is set, and ids too; set one of them"));
  const FilteredDeletion deletion{
      .collection = call.collection(), .filter = *filter, .deadline = call.deadline(), .cancelled = call.cancelled()};
  rpc.engine->DeleteByFilter(deletion, std::move(deleted));
}

void UpdateAttributes(RpcContext& rpc, UnaryCall<v1::UpdateAttributesRequest, v1::UpdateAttributesResponse>& call) {
  auto update = ToAttributeUpdate(call.request());
  if (!update.ok()) return call.Done(update.status());
  update->collection = call.collection();
  update->deadline = call.deadline();
  update->cancelled = call.cancelled();
  rpc.engine->UpdateAttributes(*std::move(update), [&call](absl::StatusOr<ChangeResult> result) {
    if (result.ok()) {
      call.AddWritten(result->timings);
      call.response().set_documents(result->documents);
      for (std::string& id : result->unknown_ids) call.response().add_unknown_ids(std::move(id));
      for (std::string& warning : result->warnings) call.response().add_warnings(std::move(warning));
    }
    call.Done(result.status());
  });
}

}  // namespace

std::vector<Method> DocumentMethods() {
  Method deletion = Unary<v1::DeleteRequest, v1::DeleteResponse>("/bebr.v1.DocumentService/Delete", Role::kWrite,
                                                                 OfDocuments<v1::DeleteRequest>, Delete);
  Method update = Unary<v1::UpdateAttributesRequest, v1::UpdateAttributesResponse>(
      "/bebr.v1.DocumentService/UpdateAttributes", Role::kWrite, OfDocuments<v1::UpdateAttributesRequest>,
      UpdateAttributes);
  deletion.audited = update.audited = true;
  return {Unary<v1::UpsertRequest, v1::UpsertResponse>("/bebr.v1.DocumentService/Upsert", Role::kWrite, OfCollection,
                                                       Upsert),
          StreamUpsertMethod(), Blocking("/bebr.v1.DocumentService/Get", Role::kRead, OfCollection, Get), deletion,
          update};
}

}  // namespace bebr
