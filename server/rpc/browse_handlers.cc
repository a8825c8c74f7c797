#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "bebr/v1/documents.pb.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/filter_text.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"
#include "server/rpc/stream_get.h"

namespace bebr {
namespace {

constexpr uint64_t kPageShare = 16;  // of max_answer_bytes: a page ends before it has taken so much

template <typename Result, typename Response>
void AddWarnings(Result& result, Response& response) {
  for (std::string& warning : result.warnings) response.add_warnings(std::move(warning));
  response.set_may_be_stale(result.may_be_stale);
}

absl::Status Scroll(RpcContext& rpc, const Call& call, const v1::ScrollRequest& request, v1::ScrollResponse& response) {
  BEBR_RETURN_IF_ERROR(call.AdmitAnswer());
  PageRequest page;
  page.collection = call.collection();
  BEBR_ASSIGN_OR_RETURN(page.filter, ReadFilter(request));
  page.after = request.page_token();
  if (request.limit() != 0) page.limit = request.limit();
  page.with_attributes = request.with_attributes();
  page.with_embeddings = request.with_embeddings();
  page.with_codes = request.with_codes();
  page.keep_view = absl::Seconds(request.keep_view_s());
  page.view_token = request.view_token();
  page.view_owner = call.holder();
  page.strict = request.strict();
  page.max_bytes = std::min(rpc.config.max_message_bytes / 2, rpc.answers.limit() / kPageShare);
  page.take_memory = call.AnswerMemoryTaker();
  page.deadline = call.deadline();
  page.cancelled = call.cancelled();
  BEBR_ASSIGN_OR_RETURN(Page found, rpc.engine->Scroll(page));
  for (PageDocument& document : found.documents) ToProto(std::move(document), response.add_documents());
  response.set_next_page_token(std::move(found.next));
  response.set_view_token(std::move(found.view_token));
  AddWarnings(found, response);
  const absl::Status status = CheckSize(rpc, response, "ask for fewer documents a page");
  if (!status.ok() && request.view_token().empty()) rpc.engine->ReleaseView(response.view_token());
  return status;
}

absl::Status Count(RpcContext& rpc, const Call& call, const v1::CountRequest& request, v1::CountResponse& response) {
  BEBR_ASSIGN_OR_RETURN(std::string filter, ReadFilter(request));
  BEBR_ASSIGN_OR_RETURN(CountResult counted, rpc.engine->Count({.collection = call.collection(),
                                                                .filter = std::move(filter),
                                                                .strict = request.strict(),
                                                                .deadline = call.deadline(),
                                                                .cancelled = call.cancelled()}));
  response.set_documents(counted.documents);
  AddWarnings(counted, response);
  return absl::OkStatus();
}

absl::Status Facets(RpcContext& rpc, const Call& call, const v1::FacetRequest& request, v1::FacetResponse& response) {
  FacetRequest facets{.collection = call.collection(), .filter = {}, .attribute = request.attribute()};
  BEBR_ASSIGN_OR_RETURN(facets.filter, ReadFilter(request));
  // The answer has a few of the values only.
  facets.take_memory = [&call](uint64_t bytes) { return call.TakeAnswerMemory(bytes); };
  facets.deadline = call.deadline();
  facets.cancelled = call.cancelled();
  if (request.limit() != 0) facets.limit = request.limit();
  facets.strict = request.strict();
  BEBR_ASSIGN_OR_RETURN(FacetResult found, rpc.engine->Facets(facets));
  for (Facet& facet : found.facets) {
    v1::FacetResponse::Facet* out = response.add_facets();
    ToProto(std::move(facet.value), out->mutable_value());
    out->set_documents(facet.documents);
  }
  response.set_values(found.values);
  response.set_documents(found.documents);
  response.set_with_attribute(found.with_attribute);
  AddWarnings(found, response);
  return CheckSize(rpc, response, "ask for fewer values");
}

}  // namespace

std::vector<Method> BrowseMethods() {
  return {Blocking("/bebr.v1.DocumentService/Scroll", Role::kRead, OfCollection, Scroll),
          Blocking("/bebr.v1.DocumentService/Count", Role::kRead, OfCollection, Count),
          Blocking("/bebr.v1.DocumentService/Facets", Role::kRead, OfCollection, Facets), StreamGetMethod()};
}

}  // namespace bebr
