#include "server/cluster/remote_node.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/interruption.h"
#include "index/base/retry.h"
#include "server/cluster/remote_node_impl.h"

namespace bebr {
namespace {

constexpr absl::Duration kAdminTimeout = absl::Minutes(10);  // what frees disk space takes long
constexpr uint64_t kHitBytes = sizeof(SearchHit) + 64;       // with an id and a version

using Stub = NodeCalls::Stub;

SteadyTime AdminDeadline() { return SteadyNow() + kAdminTimeout; }

// A deletion's answer, and that of a change of attributes.
ChangeResult ResultOf(const v1::DeleteResponse& response) { return {.documents = response.deleted()}; }
ChangeResult ResultOf(const v1::UpdateAttributesResponse& response) {
  ChangeResult result{.documents = response.documents()};
  result.unknown_ids.assign(response.unknown_ids().begin(), response.unknown_ids().end());
  return result;
}

template <typename Response>
auto ChangeDone(absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) {
  return [done = std::move(done)](const absl::Status& status, Response&& response) mutable {
    done(status.ok() ? absl::StatusOr<ChangeResult>(ResultOf(response)) : status);
  };
}

// Whether it may be the error of some searches of a call only: of what one asks, of how much all together do, or
// ABORTED of the positions that they demand.
bool MayBeOfSome(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsAborted(status) ||
         (absl::IsResourceExhausted(status) && RetryDelayOf(status) == absl::ZeroDuration());
}

// The others are answered.
SearchQueue::Group StillWaitedFor(SearchQueue::Group waiting) {
  SearchQueue::Group still;
  const SteadyTime now = SteadyNow();
  for (QueuedSearch& search : waiting) {
    const absl::Status interrupted = Interrupted(search.request, now);
    if (interrupted.ok()) {
      still.push_back(std::move(search));
    } else {
      search.done(interrupted);
    }
  }
  return still;
}

// Answers the searches of a call, whose queries lie one after the other.
void HandOut(absl::Status status, node::v1::SearchResponse&& response, SearchQueue::Group& together) {
  absl::StatusOr<SearchResult> found = status.ok() ? FromMessage(std::move(response)) : std::move(status);
  size_t queries = 0;
  for (const QueuedSearch& search : together) queries += search.request.queries.size();
  if (found.ok() && found->hits.size() != queries)
    found = absl::InternalError(absl::StrFormat("it answered %d queries of %d", found->hits.size(), queries));
  std::vector<std::vector<SearchHit>> lists;
  if (found.ok()) lists.swap(found->hits);
  auto next = std::make_move_iterator(lists.begin());
  for (QueuedSearch& search : together) {
    if (!found.ok()) {
      search.done(found.status());
      continue;
    }
    SearchResult own = *found;
    const auto end = next + static_cast<ptrdiff_t>(search.request.queries.size());
    own.hits.assign(next, end);
    next = end;
    uint64_t hits = 0;
    for (const auto& list : own.hits) hits += list.size();
    const auto& take_memory = search.request.take_memory;
    absl::Status room = take_memory == nullptr ? absl::OkStatus() : take_memory(hits * kHitBytes);
    search.done(room.ok() ? absl::StatusOr<SearchResult>(std::move(own)) : std::move(room));
  }
}

}  // namespace

absl::Status RemoteNode::CreateCollection(const CollectionConfig& config, std::string_view model_file) {
  v1::CollectionConfig message;
  ToMessage(config, &message);
  return calls_.Upload<v1::CreateCollectionResponse, v1::CollectionConfig, v1::CreateCollectionRequest>(
      &Stub::CreateCollection, message, model_file);
}

absl::Status RemoteNode::DeleteCollection(std::string_view name) {
  v1::DeleteCollectionRequest request;
  request.set_name(std::string(name));
  v1::DeleteCollectionResponse response;
  return calls_.Wait(&Stub::DeleteCollection, request, &response, AdminDeadline());
}

absl::StatusOr<CollectionInfo> RemoteNode::GetCollection(std::string_view name) {
  v1::GetCollectionRequest request;
  request.set_name(std::string(name));
  v1::GetCollectionResponse response;
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::GetCollection, request, &response));
  return FromMessage(response.collection());
}

absl::Status RemoteNode::AddVersion(std::string_view collection, const VersionConfig& config,
                                    std::string_view model_file) {
  v1::VersionConfig message;
  message.set_collection(std::string(collection));
  message.set_name(config.name);
  message.set_compatible_with(config.compatible_with);
  message.set_same_embeddings_as(config.same_embeddings_as);
  return calls_.Upload<v1::AddVersionResponse, v1::VersionConfig, v1::AddVersionRequest>(&Stub::AddVersion, message,
                                                                                         model_file);
}

absl::Status RemoteNode::PromoteVersion(std::string_view collection, std::string_view version,
                                        std::string_view expected_default, bool force) {
  v1::PromoteVersionRequest request;
  request.set_collection(std::string(collection));
  request.set_version(std::string(version));
  request.set_expected_default(std::string(expected_default));
  request.set_force(force);
  v1::PromoteVersionResponse response;
  return calls_.Wait(&Stub::PromoteVersion, request, &response, AdminDeadline());
}

absl::Status RemoteNode::RetireVersion(std::string_view collection, std::string_view version) {
  v1::RetireVersionRequest request;
  request.set_collection(std::string(collection));
  request.set_version(std::string(version));
  v1::RetireVersionResponse response;
  return calls_.Wait(&Stub::RetireVersion, request, &response, AdminDeadline());
}

absl::Status RemoteNode::StartBackfill(std::string_view collection, std::string_view version,
                                       uint64_t documents_per_s) {
  v1::BackfillVersionRequest request;
  request.set_collection(std::string(collection));
  request.set_version(std::string(version));
  request.set_documents_per_s(documents_per_s);
  v1::BackfillVersionResponse response;
  return calls_.Wait(&Stub::BackfillVersion, request, &response, AdminDeadline());
}

absl::Status RemoteNode::StopBackfill(std::string_view collection, std::string_view version) {
  v1::BackfillVersionRequest request;
  request.set_collection(std::string(collection));
  request.set_version(std::string(version));
  request.set_stop(true);
  v1::BackfillVersionResponse response;
  return calls_.Wait(&Stub::BackfillVersion, request, &response, AdminDeadline());
}

absl::Status RemoteNode::SetAlias(std::string_view alias, std::string_view collection,
                                  std::optional<std::string_view> expected) {
  v1::SetAliasRequest request;
  request.mutable_alias()->set_name(std::string(alias));
  request.mutable_alias()->set_collection(std::string(collection));
  if (expected.has_value()) request.set_expected_collection(std::string(*expected));
  v1::SetAliasResponse response;
  return calls_.Wait(&Stub::SetAlias, request, &response, AdminDeadline());
}

absl::Status RemoteNode::DeleteAlias(std::string_view alias) {
  v1::DeleteAliasRequest request;
  request.set_name(std::string(alias));
  v1::DeleteAliasResponse response;
  return calls_.Wait(&Stub::DeleteAlias, request, &response, AdminDeadline());
}

absl::StatusOr<MemoryUse> RemoteNode::EstimateMemory(std::string_view collection, uint64_t documents, double id_bytes,
                                                     const AttributeLoad& attributes) {
  v1::EstimateMemoryRequest request;
  request.set_collection(std::string(collection));
  request.set_documents(documents);
  request.set_id_bytes(id_bytes);
  request.set_attributes(attributes.per_document);
  request.set_distinct_texts(attributes.distinct_texts);
  request.set_text_bytes(attributes.text_bytes);
  v1::EstimateMemoryResponse response;
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::EstimateMemory, request, &response));
  return FromMessage(response.memory());
}

void RemoteNode::Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) {
  node::v1::UpsertRequest message;
  ToMessage(std::move(request), &message);
  calls_.Begin<node::v1::UpsertRequest, v1::UpsertResponse>(
      &Stub::async::Upsert, std::move(message), absl::InfiniteDuration(), {},
      [done = std::move(done)](const absl::Status& status, v1::UpsertResponse&& response) mutable {
        done(status.ok() ? absl::StatusOr<UpsertResult>(FromMessage(std::move(response))) : status);
      });
}

void RemoteNode::Delete(std::string_view collection, std::vector<std::string> ids,
                        absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) {
  v1::DeleteRequest request;
  request.set_collection(std::string(collection));
  for (std::string& id : ids) request.add_ids(std::move(id));
  calls_.Begin<v1::DeleteRequest, v1::DeleteResponse>(&Stub::async::Delete, std::move(request),
                                                      absl::InfiniteDuration(), {},
                                                      ChangeDone<v1::DeleteResponse>(std::move(done)));
}

void RemoteNode::DeleteByFilter(const FilteredDeletion& request,
                                absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) {
  v1::DeleteRequest message;
  message.set_collection(request.collection);
  message.set_filter(request.filter);
  calls_.Begin<v1::DeleteRequest, v1::DeleteResponse>(&Stub::async::Delete, std::move(message), request.deadline,
                                                      {request.cancelled},
                                                      ChangeDone<v1::DeleteResponse>(std::move(done)));
}

void RemoteNode::UpdateAttributes(AttributeUpdate update, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) {
  const SteadyTime deadline = update.filter.empty() ? absl::InfiniteDuration() : update.deadline;
  const auto cancelled = update.filter.empty() ? nullptr : update.cancelled;
  v1::UpdateAttributesRequest message;
  ToMessage(std::move(update), &message);
  calls_.Begin<v1::UpdateAttributesRequest, v1::UpdateAttributesResponse>(
      &Stub::async::UpdateAttributes, std::move(message), deadline, {cancelled},
      ChangeDone<v1::UpdateAttributesResponse>(std::move(done)));
}

absl::StatusOr<std::vector<Document>> RemoteNode::Get(std::string_view collection, absl::Span<const std::string> ids,
                                                      bool with_embeddings) {
  v1::GetRequest request;
  request.set_collection(std::string(collection));
  request.mutable_ids()->Add(ids.begin(), ids.end());
  request.set_with_embeddings(with_embeddings);
  v1::GetResponse response;
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::Get, request, &response));
  std::vector<Document> documents;
  for (v1::Document& one : *response.mutable_documents()) {
    BEBR_ASSIGN_OR_RETURN(Document document, FromMessage(std::move(one)));
    documents.push_back(std::move(document));
  }
  return documents;
}

absl::StatusOr<Page> RemoteNode::Scroll(const PageRequest& request) {
  node::v1::ScrollRequest message;
  ToMessage(request, &message);
  node::v1::ScrollResponse response;
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::Scroll, message, &response, request.deadline, {request.cancelled}));
  if (request.take_memory != nullptr) BEBR_RETURN_IF_ERROR(request.take_memory(response.SpaceUsedLong()));
  return FromMessage(std::move(response));
}

absl::StatusOr<CountResult> RemoteNode::Count(const CountRequest& request) {
  v1::CountRequest message;
  message.set_collection(request.collection);
  message.set_filter(request.filter);
  node::v1::CountResponse response;
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::Count, message, &response, request.deadline, {request.cancelled}));
  return CountResult{.documents = response.documents(), .filter_facts = FactsOf(response.filter_facts())};
}

absl::StatusOr<FacetResult> RemoteNode::Facets(const FacetRequest& request) {
  v1::FacetRequest message;
  message.set_collection(request.collection);
  message.set_filter(request.filter);
  message.set_attribute(request.attribute);
  message.set_limit(static_cast<uint32_t>(request.limit));
  node::v1::FacetResponse response;
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::Facets, message, &response, request.deadline, {request.cancelled}));
  if (request.take_memory != nullptr) BEBR_RETURN_IF_ERROR(request.take_memory(response.SpaceUsedLong()));
  return FromMessage(std::move(response));
}

void RemoteNode::Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) {
  searches_.Add({.request = std::move(request), .demand = NodeCalls::TakeDemand(), .done = std::move(done)});
}

void RemoteNode::SendSearches(SearchQueue::Group waiting, std::function<void()> ended) {
  SearchQueue::Group together = StillWaitedFor(std::move(waiting));
  if (together.empty()) return ended();
  node::v1::SearchRequest message;
  ToMessage(together.front().request, &message);
  SteadyTime deadline = together.front().request.deadline;
  NodeCalls::Demand demand = together.front().demand;
  Callers callers;
  for (const QueuedSearch& search : together) {
    AddQueries(search.request, &message);
    deadline = std::max(deadline, search.request.deadline);
    demand.deadline = std::max(demand.deadline, search.demand.deadline);
    demand.position = std::max(demand.position, search.demand.position);
    callers.push_back(search.request.cancelled);
  }
  NodeCalls::DemandOfNext(demand);
  calls_.Begin<node::v1::SearchRequest, node::v1::SearchResponse>(
      &Stub::async::Search, std::move(message), deadline, std::move(callers),
      [this, position = demand.position, together = std::move(together), ended = std::move(ended)](
          const absl::Status& status, node::v1::SearchResponse&& response) mutable {
        ended();  // the next ones go before these are answered
        if (together.size() == 1 || !MayBeOfSome(status)) return HandOut(status, std::move(response), together);
        SearchQueue::Group again;
        for (QueuedSearch& search : together) {
          if (!absl::IsAborted(status)) {
            SearchQueue::Group alone;
            alone.push_back(std::move(search));
            SendSearches(std::move(alone), [] {});
          } else if (search.demand.position < position) {
            again.push_back(std::move(search));
          } else {
            search.done(status);
          }
        }
        if (!again.empty()) SendSearches(std::move(again), [] {});
      });
}

std::unique_ptr<ReplicaNode> MakeRemoteNode(const NodePlace& place, const NodeCredentials& credentials,
                                            Canceller* canceller, Metrics* metrics) {
  return std::make_unique<RemoteNode>(place, credentials, canceller, metrics);
}

}  // namespace bebr
