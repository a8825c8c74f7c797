#include "server/cluster/remote_node.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

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
      &Stub::async::Upsert, std::move(message), absl::InfiniteDuration(), nullptr,
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
                                                      absl::InfiniteDuration(), nullptr,
                                                      ChangeDone<v1::DeleteResponse>(std::move(done)));
}

void RemoteNode::DeleteByFilter(const FilteredDeletion& request,
                                absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) {
  v1::DeleteRequest message;
  message.set_collection(request.collection);
  message.set_filter(request.filter);
  calls_.Begin<v1::DeleteRequest, v1::DeleteResponse>(&Stub::async::Delete, std::move(message), request.deadline,
                                                      request.cancelled,
                                                      ChangeDone<v1::DeleteResponse>(std::move(done)));
}

void RemoteNode::UpdateAttributes(AttributeUpdate update, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) {
  const SteadyTime deadline = update.filter.empty() ? absl::InfiniteDuration() : update.deadline;
  const auto cancelled = update.filter.empty() ? nullptr : update.cancelled;
  v1::UpdateAttributesRequest message;
  ToMessage(std::move(update), &message);
  calls_.Begin<v1::UpdateAttributesRequest, v1::UpdateAttributesResponse>(
      &Stub::async::UpdateAttributes, std::move(message), deadline, cancelled,
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
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::Scroll, message, &response, request.deadline, request.cancelled));
  if (request.take_memory != nullptr) BEBR_RETURN_IF_ERROR(request.take_memory(response.SpaceUsedLong()));
  return FromMessage(std::move(response));
}

absl::StatusOr<CountResult> RemoteNode::Count(const CountRequest& request) {
  v1::CountRequest message;
  message.set_collection(request.collection);
  message.set_filter(request.filter);
  node::v1::CountResponse response;
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::Count, message, &response, request.deadline, request.cancelled));
  return CountResult{.documents = response.documents(), .filter_facts = FactsOf(response.filter_facts())};
}

absl::StatusOr<FacetResult> RemoteNode::Facets(const FacetRequest& request) {
  v1::FacetRequest message;
  message.set_collection(request.collection);
  message.set_filter(request.filter);
  message.set_attribute(request.attribute);
  message.set_limit(static_cast<uint32_t>(request.limit));
  node::v1::FacetResponse response;
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::Facets, message, &response, request.deadline, request.cancelled));
  if (request.take_memory != nullptr) BEBR_RETURN_IF_ERROR(request.take_memory(response.SpaceUsedLong()));
  return FromMessage(std::move(response));
}

void RemoteNode::Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) {
  node::v1::SearchRequest message;
  ToMessage(request, &message);
  auto take = [take_memory = request.take_memory](const node::v1::SearchResponse& response) {
    uint64_t hits = 0;
    for (const auto& result : response.results()) hits += static_cast<uint64_t>(result.hits_size());
    return take_memory == nullptr ? absl::OkStatus() : take_memory(hits * kHitBytes);
  };
  calls_.Begin<node::v1::SearchRequest, node::v1::SearchResponse>(
      &Stub::async::Search, std::move(message), request.deadline, request.cancelled,
      [take = std::move(take), done = std::move(done)](absl::Status status,
                                                       node::v1::SearchResponse&& response) mutable {
        if (status.ok()) status = take(response);
        if (!status.ok()) return done(status);
        done(FromMessage(std::move(response)));
      });
}

std::unique_ptr<ReplicaNode> MakeRemoteNode(const NodePlace& place, const NodeCredentials& credentials,
                                            Canceller* canceller, Metrics* metrics) {
  return std::make_unique<RemoteNode>(place, credentials, canceller, metrics);
}

}  // namespace bebr
