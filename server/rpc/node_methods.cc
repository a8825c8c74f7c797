#include "server/rpc/node_methods.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bebr/node/v1/node.pb.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "index/follow/follower.h"
#include "server/call/hidden_paths.h"
#include "server/call/node_protocol.h"
#include "server/call/refused_call.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/log_methods.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"

namespace bebr {
namespace {

constexpr const char* kService = "/bebr.node.v1.NodeService/";
constexpr uint64_t kPageShare = 16;  // of max_answer_bytes, as of Scroll

std::string BytesOf(const FilterFacts& facts) { return std::string(facts.begin(), facts.end()); }

template <typename Fault>
void AddFaults(const std::vector<Fault>& faults,
               google::protobuf::RepeatedPtrField<node::v1::GetStateResponse::Fault>* out) {
  for (const Fault& fault : faults) {
    auto* added = out->Add();
    added->set_collection(fault.name);
    added->set_reason(ForCallers(fault.reason));
  }
}

absl::Status GetState(RpcContext& rpc, const Call&, const node::v1::GetStateRequest&,
                      node::v1::GetStateResponse& response) {
  for (std::string& name : rpc.engine->ListCollections()) response.add_collections(std::move(name));
  for (const Alias& alias : rpc.engine->ListAliases()) {
    v1::Alias* added = response.add_aliases();
    added->set_name(alias.name);
    added->set_collection(alias.collection);
  }
  AddFaults(rpc.engine->UnavailableCollections(), response.mutable_unavailable());
  AddFaults(rpc.engine->ReadOnlyCollections(), response.mutable_read_only());
  AddFaults(rpc.engine->DamagedCollections(), response.mutable_damaged());
  ToProto(rpc.engine->Stats(), response.mutable_stats());
  if (rpc.follower != nullptr) AddReplica(rpc.follower->State(), *response.mutable_replica());
  return absl::OkStatus();
}

using SearchCall = UnaryCall<node::v1::SearchRequest, node::v1::SearchResponse>;

void Search(RpcContext& rpc, SearchCall& call) {
  auto arena = std::make_shared<VectorArena>();
  auto search = ToSearchRequest(call.request(), *arena);
  if (!search.ok()) return call.Done(search.status());
  search->collection = call.collection();
  search->deadline = call.deadline();
  search->cancelled = call.cancelled();
  search->max_result_bytes = rpc.config.max_message_bytes;
  search->take_memory = call.AnswerMemoryTaker();
  const size_t queries = search->queries.size();
  const bool fresh = search->view_token.empty();  // if a view is kept, this search keeps it first
  const SteadyTime begun = SteadyNow();
  rpc.engine->Search(*std::move(search), [&rpc, &call, queries, fresh, begun,
                                          arena](absl::StatusOr<SearchResult> result) {
    if (!result.ok()) return call.Done(result.status());
    rpc.metrics->ObserveSearch(result->timings);
    call.AddSearched(queries, result->documents_scanned, result->timings, begun);
    ToProto(*std::move(result), &call.response());
    const absl::Status fits = CheckSize(rpc, call.response(), "ask for a smaller k or rerank, or without attributes");
    if (!fits.ok() && fresh) rpc.engine->ReleaseView(call.response().view_token());
    call.Done(fits);
  });
}

Target OfUpsert(const node::v1::UpsertRequest& request) { return {.collection = request.request().collection()}; }

void Upsert(RpcContext& rpc, UnaryCall<node::v1::UpsertRequest, v1::UpsertResponse>& call) {
  auto arena = std::make_unique<VectorArena>();
  auto upsert = ToUpsertRequest(call.collection(), call.request().request(), *arena);
  if (!upsert.ok()) return call.Done(upsert.status());
  upsert->check_only = call.request().check_only();
  rpc.engine->Upsert(*std::move(upsert), [&call, arena = std::move(arena)](absl::StatusOr<UpsertResult> result) {
    if (result.ok()) ToProto(*result, &call.response());
    call.Done(result.status());
  });
}

void Delete(RpcContext& rpc, UnaryCall<v1::DeleteRequest, v1::DeleteResponse>& call) {
  const auto& ids = call.request().ids();
  auto deleted = [&call](absl::StatusOr<ChangeResult> result) {
    if (result.ok()) call.response().set_deleted(result->documents);
    call.Done(result.status());
  };
  if (call.request().filter().empty())
    return rpc.engine->Delete(call.collection(), {ids.begin(), ids.end()}, std::move(deleted));
  rpc.engine->DeleteByFilter({.collection = call.collection(),
                              .filter = call.request().filter(),
                              .part = true,
                              .deadline = call.deadline(),
                              .cancelled = call.cancelled()},
                             std::move(deleted));
}

void UpdateAttributes(RpcContext& rpc, UnaryCall<v1::UpdateAttributesRequest, v1::UpdateAttributesResponse>& call) {
  auto update = ToAttributeUpdate(call.request());
  if (!update.ok()) return call.Done(update.status());
  update->collection = call.collection();
  update->part = true;
  update->deadline = call.deadline();
  update->cancelled = call.cancelled();
  rpc.engine->UpdateAttributes(*std::move(update), [&call](absl::StatusOr<ChangeResult> result) {
    if (result.ok()) {
      call.response().set_documents(result->documents);
      for (std::string& id : result->unknown_ids) call.response().add_unknown_ids(std::move(id));
    }
    call.Done(result.status());
  });
}

absl::Status Get(RpcContext& rpc, const Call& call, const v1::GetRequest& request, v1::GetResponse& response) {
  const std::vector<std::string> ids(request.ids().begin(), request.ids().end());
  BEBR_ASSIGN_OR_RETURN(auto documents, rpc.engine->Get(call.collection(), ids, request.with_embeddings()));
  BEBR_RETURN_IF_ERROR(AddDocuments(call, std::move(documents), response));
  return CheckSize(rpc, response, "ask for fewer ids");
}

Target OfScroll(const node::v1::ScrollRequest& message) { return {.collection = message.request().collection()}; }

absl::Status Scroll(RpcContext& rpc, const Call& call, const node::v1::ScrollRequest& message,
                    node::v1::ScrollResponse& response) {
  const v1::ScrollRequest& request = message.request();
  PageRequest page;
  page.collection = call.collection();
  page.filter = request.filter();
  page.after = request.page_token();
  page.limit = request.limit();
  page.with_attributes = request.with_attributes();
  page.with_embeddings = request.with_embeddings();
  page.with_codes = request.with_codes();
  page.keep_view = absl::Seconds(request.keep_view_s());
  page.view_token = request.view_token();
  page.view_owner = message.view_owner();
  page.part = true;
  page.max_bytes = std::min(rpc.config.max_message_bytes / 2, rpc.answers.limit() / kPageShare);
  page.take_memory = call.AnswerMemoryTaker();
  page.deadline = call.deadline();
  page.cancelled = call.cancelled();
  BEBR_ASSIGN_OR_RETURN(Page found, rpc.engine->Scroll(page));
  for (PageDocument& document : found.documents)
    ToProto(std::move(document), response.mutable_response()->add_documents());
  response.mutable_response()->set_next_page_token(std::move(found.next));
  response.mutable_response()->set_view_token(std::move(found.view_token));
  response.set_filter_facts(BytesOf(found.filter_facts));
  return CheckSize(rpc, response, "ask for fewer documents a page");
}

absl::Status Count(RpcContext& rpc, const Call& call, const v1::CountRequest& request,
                   node::v1::CountResponse& response) {
  BEBR_ASSIGN_OR_RETURN(const CountResult counted, rpc.engine->Count({.collection = call.collection(),
                                                                      .filter = request.filter(),
                                                                      .part = true,
                                                                      .deadline = call.deadline(),
                                                                      .cancelled = call.cancelled()}));
  response.set_documents(counted.documents);
  response.set_filter_facts(BytesOf(counted.filter_facts));
  return absl::OkStatus();
}

absl::Status Facets(RpcContext& rpc, const Call& call, const v1::FacetRequest& request,
                    node::v1::FacetResponse& response) {
  BEBR_ASSIGN_OR_RETURN(FacetResult found, rpc.engine->Facets({.collection = call.collection(),
                                                               .filter = request.filter(),
                                                               .attribute = request.attribute(),
                                                               .limit = request.limit(),
                                                               .part = true,
                                                               .take_memory = call.AnswerMemoryTaker(),
                                                               .deadline = call.deadline(),
                                                               .cancelled = call.cancelled()}));
  v1::FacetResponse& out = *response.mutable_response();
  for (Facet& facet : found.facets) {
    v1::FacetResponse::Facet* added = out.add_facets();
    ToProto(std::move(facet.value), added->mutable_value());
    added->set_documents(facet.documents);
  }
  out.set_values(found.values);
  out.set_documents(found.documents);
  out.set_with_attribute(found.with_attribute);
  response.set_filter_facts(BytesOf(found.filter_facts));
  response.set_attribute_facts(BytesOf(found.attribute_facts));
  return CheckSize(rpc, response, "narrow the filter");
}

absl::Status ReleaseView(RpcContext& rpc, const Call&, const node::v1::ReleaseViewRequest& request,
                         node::v1::ReleaseViewResponse&) {
  rpc.engine->ReleaseView(request.view_token());
  return absl::OkStatus();
}

std::string At(const char* name) { return absl::StrCat(kService, name); }

// What changes a node that follows no log, and so would make one that does differ from its replicas.
bool Writes(const Method& method) { return method.role == Role::kWrite || method.role == Role::kAdmin; }

std::string Shown(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata, const char* name) {
  const auto found = metadata.find(name);
  return found == metadata.end() ? "nothing" : std::string(found->second.data(), found->second.size());
}

// UNAVAILABLE unless the caller speaks this protocol and means this node.
absl::Status CheckCaller(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata, const NodePlace& self) {
  const std::string protocol = Shown(metadata, kProtocolMetadata);
  if (protocol != absl::StrCat(kNodeProtocol)) {
    return absl::UnavailableError(
        absl::StrFormat("it speaks protocol %d of nodes, and the caller %s: let gateways and nodes be of one release",
                        kNodeProtocol, protocol));
  }
  const std::string name = Shown(metadata, kNodeMetadata), slots = Shown(metadata, kSlotsMetadata);
  if (name == self.name && slots == SlotsText(self)) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrFormat("it is node %s with slots %s, and the caller means node %s with slots %s: give all servers of "
                      "the cluster the same "
                      "cluster_nodes",
                      self.name, SlotsText(self), name, slots));
}

// UNAVAILABLE if the node, or the caller, goes without the log and the other does not; ABORTED if a read is to see what
// is not applied yet.
absl::Status CheckFollower(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata, const Method& method,
                           bool writes, const Follower* follower) {
  const bool of_log = IsLogMethod(method.name());
  if (follower == nullptr) {
    if (!of_log) return absl::OkStatus();
    return absl::UnavailableError("it follows no log: give all servers of the cluster the same cluster_log");
  }
  if (writes) {
    return absl::UnavailableError(
        "it follows a log, and the caller writes without one: give all servers of the cluster the same cluster_log");
  }
  if (method.name() == "GetState") return absl::OkStatus();
  uint64_t position = 0, log = 0;
  if (metadata.contains(kLogMetadata) && !absl::SimpleAtoi(Shown(metadata, kLogMetadata), &log))
    return absl::InvalidArgumentError(absl::StrFormat("%s is no number", kLogMetadata));
  BEBR_RETURN_IF_ERROR(follower->CheckLog(log));
  if (method.name() == "Await" || method.name() == "GetOutcome") return absl::OkStatus();
  if (metadata.contains(kPositionMetadata) && !absl::SimpleAtoi(Shown(metadata, kPositionMetadata), &position))
    return absl::InvalidArgumentError(absl::StrFormat("%s is no number", kPositionMetadata));
  return follower->Check(position);
}

Method ForGateway(Method method, const NodePlace& self) {
  const bool writes = Writes(method);
  method.role = Role::kAdmin;
  auto make = std::make_shared<const std::function<Call*(CallStart)>>(std::move(method.make));
  method.make = [make, self, writes](CallStart start) -> Call* {
    const auto& metadata = start.context.client_metadata();
    absl::Status checked = CheckCaller(metadata, self);
    checked.Update(CheckFollower(metadata, start.method, writes, start.rpc.follower));
    const bool behind = absl::IsAborted(checked);  // as happens while documents are written
    if (!checked.ok()) return new RefusedCall(std::move(start), checked, /*quiet=*/behind);
    return (*make)(std::move(start));
  };
  return method;
}

}  // namespace

std::vector<Method> NodeMethods(const NodePlace& self, const std::vector<Method>& methods) {
  std::vector<Method> of_node = {
      Blocking(At("GetState"), Role::kRead, OfNone, GetState),
      Unary<node::v1::SearchRequest, node::v1::SearchResponse>(At("Search"), Role::kRead, OfCollection, Search),
      Unary<node::v1::UpsertRequest, v1::UpsertResponse>(At("Upsert"), Role::kWrite, OfUpsert, Upsert),
      Unary<v1::UpdateAttributesRequest, v1::UpdateAttributesResponse>(At("UpdateAttributes"), Role::kWrite,
                                                                       OfCollection, UpdateAttributes),
      Unary<v1::DeleteRequest, v1::DeleteResponse>(At("Delete"), Role::kWrite, OfCollection, Delete),
      Blocking(At("Get"), Role::kRead, OfCollection, Get),
      Blocking(At("Scroll"), Role::kRead, OfScroll, Scroll),
      Blocking(At("Count"), Role::kRead, OfCollection, Count),
      Blocking(At("Facets"), Role::kRead, OfCollection, Facets),
      Blocking(At("ReleaseView"), Role::kRead, OfNone, ReleaseView)};
  for (Method& method : LogMethods(kService)) of_node.push_back(std::move(method));
  constexpr std::string_view kSame[] = {"CreateCollection", "GetCollection", "DeleteCollection", "AddVersion",
                                        "PromoteVersion",   "RetireVersion", "BackfillVersion",  "SetAlias",
                                        "DeleteAlias",      "EstimateMemory"};
  for (Method method : methods) {
    if (std::find(std::begin(kSame), std::end(kSame), method.name()) == std::end(kSame)) continue;
    method.path = At(std::string(method.name()).c_str());
    of_node.push_back(std::move(method));
  }
  for (Method& method : of_node) method = ForGateway(std::move(method), self);
  return of_node;
}

void RefuseWrites(const NodePlace& self, std::vector<Method>& methods) {
  for (Method& method : methods) {
    const bool restores = method.name() == "RestoreSnapshot";  // which a log does not know of
    const bool keeps = absl::EndsWith(std::string(method.name()), "Snapshot") || method.name() == "CheckVersion";
    if (!Writes(method) || (keeps && !restores)) continue;
    const absl::Status refused = absl::FailedPreconditionError(
        absl::StrFormat("this server is node %s of a cluster: %s goes through a gateway, which does it on all nodes",
                        self.name, std::string(method.name())));
    auto make = std::make_shared<const std::function<Call*(CallStart)>>(std::move(method.make));
    method.make = [refused, restores, make](CallStart start) -> Call* {
      if (restores && start.rpc.follower == nullptr) return (*make)(std::move(start));
      return new RefusedCall(std::move(start), refused, /*quiet=*/false);
    };
  }
}

}  // namespace bebr
