#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bebr/v1/search.pb.h"
#include "index/base/clock.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "server/config/config.h"
#include "server/metrics/metrics.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"

namespace bebr {
namespace {

// What the log says of a search beside its times, and what its end needs.
struct SearchShape {
  size_t queries = 0, k = 0, rerank = 0;
  bool collection_rerank = false;  // rerank is the collection's
  bool filter = false;
  bool own_view = false;  // if a view is kept, this search keeps it first
  SteadyTime begun = SteadyNow();
};

SearchShape ShapeOf(const SearchRequest& request) {
  return {.queries = request.queries.size() + (request.like.has_value() ? 1 : 0),
          .k = request.k,
          .rerank = request.rerank,
          .collection_rerank = request.collection_rerank,
          .filter = !request.filter.empty(),
          .own_view = request.view_token.empty()};
}

// An error if the answer may take more results than the server allows a call.
absl::Status CheckResults(const SearchRequest& request, uint64_t most) {
  const uint64_t queries = std::max<size_t>(request.queries.size(), 1);
  const uint64_t wanted = std::max(request.k * request.group_size + request.offset, request.rerank);
  uint64_t listed = 0;
  for (const RankedList& list : request.lists) listed += list.ids.size();
  // Beyond the API's own limits the engine says it better.
  if (queries * (wanted + request.exclude_ids.size()) + listed <= most || request.k > kMaxK ||
      request.rerank > kMaxRerank) {
    return absl::OkStatus();
  }
  if (wanted == std::max(request.k, request.rerank) && request.exclude_ids.empty() && listed == 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s is %d, which times %d queries is more than %d, the limit of this server (max_results_per_call)",
        request.rerank > request.k ? "rerank" : "k", wanted, request.queries.size(), most));
  }
  return absl::InvalidArgumentError(absl::StrFormat(
      "k: a query takes %d results, by offset and k times group_size or by rerank, and %d exclude_ids; that times %d "
      "queries, and the %d ids of lists, is more than %d, the limit of this server (max_results_per_call)",
      wanted, request.exclude_ids.size(), queries, listed, most));
}

// The request as the engine takes it, once it is clear that the server can.
template <typename Message>
absl::StatusOr<SearchRequest> Prepare(RpcContext& rpc, const Call& call, const Message& message, VectorArena& arena) {
  BEBR_RETURN_IF_ERROR(call.AdmitAnswer());
  BEBR_ASSIGN_OR_RETURN(SearchRequest request, ToSearchRequest(message, arena));
  const uint64_t most = rpc.limits.max_results_per_call;
  BEBR_RETURN_IF_ERROR(CheckResults(request, most));
  request.most_rerank = most / std::max<size_t>(request.queries.size(), 1);
  request.collection = call.collection();
  request.deadline = call.deadline();
  request.cancelled = call.cancelled();
  request.max_result_bytes = rpc.config.max_message_bytes;
  request.take_memory = call.AnswerMemoryTaker();
  request.view_owner = call.holder();
  return request;
}

// What of a search's time is in none of its stages: before and after them, and waiting between. 0 where stages of
// several queries ran beside each other and take more than all of it.
int64_t OtherThan(const SearchTimings& timings, absl::Duration total) {
  const int64_t stages = timings.queue_us + timings.encode_us + timings.scan_us + timings.rerank_us;
  return std::max(absl::ToInt64Microseconds(total) - stages, int64_t{0});
}

// Counts a search and logs it if it was slow.
void Observe(RpcContext& rpc, Call& call, const SearchShape& shape, const SearchResult& result) {
  const SearchTimings& timings = result.timings;
  rpc.metrics->ObserveSearch(timings);
  call.AddSearched(shape.queries, result.documents_scanned, timings, shape.begun);
  const absl::Duration age = call.age();
  const uint64_t slow_ms = rpc.limits.slow_query_ms;
  if (slow_ms == 0 || age < absl::Milliseconds(slow_ms)) return;
  rpc.metrics->slow_queries().Increment();
  LogEvent(LogLevel::kWarning, "slow_query",
           {{"method", call.method()},
            {"collection", call.collection()},
            {"key", call.identity().name()},
            {"peer", call.peer()},
            {"request_id", call.ids().request_id},
            {"trace_id", call.ids().trace_id()},
            {"queries", static_cast<int64_t>(shape.queries)},
            {"k", static_cast<int64_t>(shape.k)},
            {"rerank", shape.collection_rerank ? "the collection's" : absl::StrCat(shape.rerank)},
            {"filter", shape.filter ? "yes" : "no"},
            {"total_us", absl::ToInt64Microseconds(age)},
            {"queue_us", timings.queue_us},
            {"encode_us", timings.encode_us},
            {"scan_us", timings.scan_us},
            {"rerank_us", timings.rerank_us},
            {"other_us", OtherThan(timings, age)},
            {"queries_in_scan", int64_t{timings.queries_in_scan}},
            {"documents_scanned", static_cast<int64_t>(result.documents_scanned)}});
}

// The engine knows lists of queries only; here there is one, and its field has another name.
absl::Status OfOneQuery(const absl::Status& status) {
  constexpr absl::string_view kField = "queries[0]";
  if (!absl::StartsWith(status.message(), kField)) return status;
  return absl::Status(status.code(), absl::StrCat("query", status.message().substr(kField.size())));
}

// Ends a search's call, and lets go of a view that was kept for it if the answer is too large.
template <typename SomeCall>
void EndOfSize(RpcContext& rpc, SomeCall& call, const SearchShape& shape, std::string_view advice) {
  const absl::Status status = CheckSize(rpc, call.response(), advice);
  if (!status.ok() && shape.own_view) rpc.engine->ReleaseView(call.response().view_token());
  call.Done(status);
}

using SearchCall = UnaryCall<v1::SearchRequest, v1::SearchResponse>;

void Start(RpcContext& rpc, SearchCall& call, SearchRequest search, std::shared_ptr<VectorArena> arena) {
  const SearchShape shape = ShapeOf(search);
  rpc.engine->Search(std::move(search),
                     [&rpc, &call, shape, arena = std::move(arena)](absl::StatusOr<SearchResult> result) {
                       if (!result.ok()) return call.Done(OfOneQuery(result.status()));
                       Observe(rpc, call, shape, *result);
                       v1::SearchResponse& response = call.response();
                       ToProto(std::move(result->hits[0]), call.request().options(), response.mutable_hits());
                       ToProto(result->timings, response.mutable_timings());
                       response.set_documents_scanned(result->documents_scanned);
                       response.set_scanned_share(static_cast<float>(result->scanned_share));
                       for (std::string& warning : result->warnings) response.add_warnings(std::move(warning));
                       response.set_may_be_stale(result->may_be_stale);
                       response.set_view_token(std::move(result->view_token));
                       if (result->coverage.has_value()) ToProto(*result->coverage, response.mutable_coverage());
                       EndOfSize(rpc, call, shape, "ask for a smaller k, or without attributes");
                     });
}

void Search(RpcContext& rpc, SearchCall& call) {
  auto arena = std::make_shared<VectorArena>();
  auto search = Prepare(rpc, call, call.request(), *arena);
  if (!search.ok()) return call.Done(search.status());
  // Examples are read from disk.
  if (!call.request().has_like()) return Start(rpc, call, *std::move(search), std::move(arena));
  auto prepared = std::make_shared<SearchRequest>(*std::move(search));
  const absl::Status submitted = rpc.blocking->TrySubmit([&rpc, &call, arena, prepared] {
    if (absl::Status interrupted = call.Interrupted(); !interrupted.ok()) return call.Done(interrupted);
    Start(rpc, call, std::move(*prepared), arena);
  });
  if (!submitted.ok()) call.Done(submitted);
}

void BatchSearch(RpcContext& rpc, UnaryCall<v1::BatchSearchRequest, v1::BatchSearchResponse>& call) {
  auto arena = std::make_unique<VectorArena>();
  auto search = Prepare(rpc, call, call.request(), *arena);
  if (!search.ok()) return call.Done(search.status());
  const SearchShape shape = ShapeOf(*search);
  rpc.engine->Search(*std::move(search),
                     [&rpc, &call, shape, arena = std::move(arena)](absl::StatusOr<SearchResult> result) {
                       if (!result.ok()) return call.Done(result.status());
                       Observe(rpc, call, shape, *result);
                       v1::BatchSearchResponse& response = call.response();
                       for (auto& hits : result->hits)
                         ToProto(std::move(hits), call.request().options(), response.add_results()->mutable_hits());
                       ToProto(result->timings, response.mutable_timings());
                       response.set_documents_scanned(result->documents_scanned);
                       response.set_scanned_share(static_cast<float>(result->scanned_share));
                       for (std::string& warning : result->warnings) response.add_warnings(std::move(warning));
                       response.set_may_be_stale(result->may_be_stale);
                       response.set_view_token(std::move(result->view_token));
                       if (result->coverage.has_value()) ToProto(*result->coverage, response.mutable_coverage());
                       EndOfSize(rpc, call, shape, "ask for a smaller k, fewer queries, or without attributes");
                     });
}

}  // namespace

std::vector<Method> SearchMethods() {
  return {
      Unary<v1::SearchRequest, v1::SearchResponse>("/bebr.v1.SearchService/Search", Role::kRead, OfCollection, Search),
      Unary<v1::BatchSearchRequest, v1::BatchSearchResponse>("/bebr.v1.SearchService/BatchSearch", Role::kRead,
                                                             OfCollection, BatchSearch)};
}

}  // namespace bebr
