#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/rpc/services.h"

namespace bebr {
namespace {

// What a search takes from the call beside its message.
void Attach(const grpc::CallbackServerContext& context, const UnaryCall& call, SearchRequest& request) {
  request.deadline = DeadlineOf(context);
  request.cancelled = call.cancelled();
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
  const std::string collection = rpc_.engine->Resolve(request->collection());
  absl::Status checked = rpc_.authenticator->Check(*context, "Search", Role::kRead, collection);
  auto search = checked.ok() ? ToSearchRequest(*request, call->arena()) : absl::StatusOr<SearchRequest>(checked);
  if (!search.ok()) {
    call->End(search.status());
    return call;
  }
  search->collection = collection;
  Attach(*context, *call, *search);
  rpc_.engine->Search(*std::move(search), [this, call, response](absl::StatusOr<SearchResult> result) {
    if (!result.ok()) return call->End(OfOneQuery(result.status()));
    rpc_.metrics->ObserveSearch(result->timings);
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
  const std::string collection = rpc_.engine->Resolve(request->collection());
  absl::Status checked = rpc_.authenticator->Check(*context, "BatchSearch", Role::kRead, collection);
  auto search = checked.ok() ? ToSearchRequest(*request, call->arena()) : absl::StatusOr<SearchRequest>(checked);
  if (!search.ok()) {
    call->End(search.status());
    return call;
  }
  search->collection = collection;
  Attach(*context, *call, *search);
  rpc_.engine->Search(*std::move(search), [this, call, response](absl::StatusOr<SearchResult> result) {
    if (!result.ok()) return call->End(result.status());
    rpc_.metrics->ObserveSearch(result->timings);
    for (auto& hits : result->hits) ToProto(std::move(hits), response->add_results()->mutable_hits());
    ToProto(result->timings, response->mutable_timings());
    response->set_documents_scanned(result->documents_scanned);
    call->End(CheckSize(rpc_, *response, "ask for a smaller k, fewer queries, or without attributes"));
  });
  return call;
}

}  // namespace bebr
