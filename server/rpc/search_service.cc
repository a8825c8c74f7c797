#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "server/access/auth.h"
#include "server/call/call_context.h"
#include "server/config/config.h"
#include "server/metrics/metrics.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/services.h"
#include "server/rpc/unary_call.h"

namespace bebr {
namespace {

// What the log says of a search beside its times.
struct SearchShape {
  std::string collection;
  size_t queries = 0, k = 0, rerank = 0;
  bool filter = false;
};

SearchShape ShapeOf(const SearchRequest& request) {
  return {request.collection, request.queries.size(), request.k, request.rerank, !request.filter.empty()};
}

// The request as the engine takes it, once it is clear that the caller may and the server can.
template <typename Message>
absl::StatusOr<SearchRequest> Prepare(RpcContext& rpc, const grpc::CallbackServerContext& context, const char* method,
                                      const Message& message, UnaryCall& call) {
  const std::string collection = rpc.engine->Resolve(message.collection());
  BEBR_RETURN_IF_ERROR(
      rpc.authenticator->Check(CallerOf(context), method, Role::kRead, collection, message.ByteSizeLong()));
  BEBR_RETURN_IF_ERROR(rpc.responses->Admit());
  BEBR_ASSIGN_OR_RETURN(SearchRequest request, ToSearchRequest(message, call.arena()));
  const uint64_t results = request.queries.size() * std::max(request.k, request.rerank);
  // Beyond the API's own limits the engine says it better.
  if (results > rpc.config.max_results_per_call && request.k <= kMaxK && request.rerank <= kMaxRerank) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s is %d, which times %d queries is more than %d, the limit of this server (max_results_per_call)",
        request.rerank > request.k ? "rerank" : "k", std::max(request.k, request.rerank), request.queries.size(),
        rpc.config.max_results_per_call));
  }
  request.collection = collection;
  request.deadline = DeadlineOf(context);
  request.cancelled = call.cancelled();
  request.max_result_bytes = rpc.config.max_message_bytes;
  return request;
}

// Counts a search and logs it if it was slow.
void Observe(RpcContext& rpc, const grpc::CallbackServerContext& context, const char* method, const SearchShape& shape,
             const SearchResult& result) {
  const SearchTimings& timings = result.timings;
  rpc.metrics->ObserveSearch(timings);
  const CallContext& call = CallContext::Of(context);
  const int64_t total_us = absl::ToInt64Microseconds(absl::Now() - call.started);
  constexpr int64_t kMicrosPerMilli = 1000;
  if (rpc.config.slow_query_ms == 0 || total_us < static_cast<int64_t>(rpc.config.slow_query_ms) * kMicrosPerMilli) {
    return;
  }
  rpc.metrics->slow_queries().Increment();
  LogEvent(LogLevel::kWarning, "slow_query",
           {{"method", method},
            {"collection", shape.collection},
            {"request_id", call.ids.request_id},
            {"trace_id", call.ids.trace_id()},
            {"queries", static_cast<int64_t>(shape.queries)},
            {"k", static_cast<int64_t>(shape.k)},
            {"rerank", static_cast<int64_t>(shape.rerank)},
            {"filter", shape.filter ? "yes" : "no"},
            {"total_us", total_us},
            {"queue_us", timings.queue_us},
            {"encode_us", timings.encode_us},
            {"scan_us", timings.scan_us},
            {"rerank_us", timings.rerank_us},
            {"queries_in_scan", int64_t{timings.queries_in_scan}},
            {"documents_scanned", static_cast<int64_t>(result.documents_scanned)}});
}

// The engine knows lists of queries only; here there is one, and its field has another name.
absl::Status OfOneQuery(const absl::Status& status) {
  constexpr absl::string_view kField = "queries[0]";
  if (!absl::StartsWith(status.message(), kField)) return status;
  return absl::Status(status.code(), absl::StrCat("query", status.message().substr(kField.size())));
}

}  // namespace

grpc::ServerUnaryReactor* SearchServiceImpl::Search(grpc::CallbackServerContext* context,
                                                    const v1::SearchRequest* request, v1::SearchResponse* response) {
  auto* call = new UnaryCall;
  auto search = Prepare(rpc_, *context, "Search", *request, *call);
  if (!search.ok()) {
    call->End(search.status());
    return call;
  }
  const SearchShape shape = ShapeOf(*search);
  FreeWhenSerialized(*context, request, response);
  rpc_.engine->Search(*std::move(search), [=, this](absl::StatusOr<SearchResult> result) {
    if (!result.ok()) return call->End(OfOneQuery(result.status()));
    Observe(rpc_, *context, "Search", shape, *result);
    ToProto(std::move(result->hits[0]), response->mutable_hits());
    ToProto(result->timings, response->mutable_timings());
    response->set_documents_scanned(result->documents_scanned);
    call->End(CheckSize(rpc_, *response, "ask for a smaller k, or without attributes"));
  });
  return call;
}

grpc::ServerUnaryReactor* SearchServiceImpl::BatchSearch(grpc::CallbackServerContext* context,
                                                         const v1::BatchSearchRequest* request,
                                                         v1::BatchSearchResponse* response) {
  auto* call = new UnaryCall;
  auto search = Prepare(rpc_, *context, "BatchSearch", *request, *call);
  if (!search.ok()) {
    call->End(search.status());
    return call;
  }
  const SearchShape shape = ShapeOf(*search);
  FreeWhenSerialized(*context, request, response);
  rpc_.engine->Search(*std::move(search), [=, this](absl::StatusOr<SearchResult> result) {
    if (!result.ok()) return call->End(result.status());
    Observe(rpc_, *context, "BatchSearch", shape, *result);
    for (auto& hits : result->hits) ToProto(std::move(hits), response->add_results()->mutable_hits());
    ToProto(result->timings, response->mutable_timings());
    response->set_documents_scanned(result->documents_scanned);
    call->End(CheckSize(rpc_, *response, "ask for a smaller k, fewer queries, or without attributes"));
  });
  return call;
}

}  // namespace bebr
