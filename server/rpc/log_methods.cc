#include "server/rpc/log_methods.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "index/base/checksum.h"
#include "index/base/clock.h"
#include "index/base/status_macros.h"
#include "index/follow/follower.h"
#include "server/call/hidden_paths.h"
#include "server/rpc/convert.h"
#include "server/rpc/make_method.h"

namespace bebr {
namespace {

constexpr std::string_view kNames[] = {"Prepare",     "Await",           "GetOutcome",   "GetDigest",
                                       "CheckUpdate", "PrepareBackfill", "GetSnapshots", "CheckSnapshot",
                                       "OpenSeed",    "ReadSeed",        "CloseSeed"};
// Gateways say how long they wait.
constexpr absl::Duration kMostWaiting = absl::Minutes(1);

SteadyTime EndOf(const Call& call) { return std::min(call.deadline(), SteadyNow() + kMostWaiting); }

Target OfUpsert(const node::v1::UpsertRequest& request) { return {.collection = request.request().collection()}; }

void Prepare(RpcContext& rpc, UnaryCall<node::v1::UpsertRequest, node::v1::PrepareResponse>& call) {
  auto arena = std::make_unique<VectorArena>();
  auto upsert = ToUpsertRequest(call.collection(), call.request().request(), *arena);
  if (!upsert.ok()) return call.Done(upsert.status());
  upsert->check_only = call.request().check_only();
  rpc.follower->Prepare(*std::move(upsert), [&call, arena = std::move(arena)](absl::StatusOr<PreparedChange> prepared) {
    if (!prepared.ok()) return call.Done(prepared.status());
    call.response().set_change(std::move(prepared->change));
    ToProto(UpsertResult{.problems = std::move(prepared->problems)}, call.response().mutable_result());
    call.Done(absl::OkStatus());
  });
}

void Await(RpcContext& rpc, UnaryCall<node::v1::AwaitRequest, node::v1::AwaitResponse>& call) {
  rpc.follower->Await(call.request().position(), EndOf(call),
                      [&call](const absl::Status& status) { call.Done(status); });
}

void GetOutcome(RpcContext& rpc, UnaryCall<node::v1::GetOutcomeRequest, node::v1::GetOutcomeResponse>& call) {
  const node::v1::GetOutcomeRequest& asked = call.request();
  const LogPlace place = {asked.position(), {asked.append_high(), asked.append_low()}};
  rpc.follower->Outcome(place, asked.number(), EndOf(call), [&call](absl::StatusOr<ChangeOutcome> outcome) {
    if (!outcome.ok()) return call.Done(outcome.status());
    node::v1::GetOutcomeResponse& response = call.response();
    response.set_code(static_cast<uint32_t>(outcome->status.code()));
    response.set_message(std::string(outcome->status.message()));
    response.set_documents(outcome->documents);
    response.set_created(outcome->created);
    for (std::string& id : outcome->unknown_ids) response.add_unknown_ids(std::move(id));
    for (std::string& id : outcome->skipped_ids) response.add_skipped_ids(std::move(id));
    call.Done(absl::OkStatus());
  });
}

absl::Status GetDigest(RpcContext& rpc, const Call& call, const node::v1::GetDigestRequest& request,
                       node::v1::GetDigestResponse& response) {
  BEBR_ASSIGN_OR_RETURN(CollectionDigest digest, rpc.follower->Digest(call.collection(), request.position(),
                                                                      request.bytes_per_s(), call.cancelled().get()));
  response.set_position(digest.position);
  response.set_documents(digest.documents);
  response.set_digest(std::move(digest.digest));
  return absl::OkStatus();
}

absl::Status CheckUpdate(RpcContext& rpc, const Call& call, const v1::UpdateAttributesRequest& request,
                         node::v1::CheckUpdateResponse&) {
  BEBR_ASSIGN_OR_RETURN(const AttributeUpdate update, ToAttributeUpdate(request));
  return rpc.follower->CheckRoomFor(call.collection(), update.change);
}

absl::Status PrepareBackfill(RpcContext& rpc, const Call& call, const node::v1::PrepareBackfillRequest& request,
                             node::v1::PrepareResponse& response) {
  BEBR_ASSIGN_OR_RETURN(
      PreparedBackfill prepared,
      rpc.follower->PrepareBackfill(call.collection(), request.version(), request.after(), request.most_documents()));
  response.set_change(std::move(prepared.change));
  response.set_documents(prepared.documents);
  response.set_last_id(std::move(prepared.last_id));
  return absl::OkStatus();
}

Target OfSnapshot(const node::v1::SnapshotOfNode& request) {
  return {.collection = request.collection(), .object = request.name()};
}

SnapshotInfo WhichOf(const node::v1::SnapshotOfNode& message) {
  return {.collection = message.collection(), .name = message.name(), .position = message.position()};
}

absl::Status GetSnapshots(RpcContext& rpc, const Call&, const node::v1::GetSnapshotsRequest& request,
                          node::v1::GetSnapshotsResponse& response) {
  BEBR_ASSIGN_OR_RETURN(const auto snapshots, rpc.follower->ListSnapshots(request.collection()));
  for (const ReplicaSnapshot& one : snapshots) {
    node::v1::SnapshotOfNode* out = response.add_snapshots();
    out->set_collection(one.info.collection);
    out->set_name(one.info.name);
    out->set_position(one.info.position);
    out->set_created_unix_us(absl::ToUnixMicros(one.info.created));
    out->set_documents(one.info.documents);
    out->set_bytes(one.info.bytes);
    out->set_making(one.making);
    out->set_problem(ForCallers(one.info.problem));
  }
  return absl::OkStatus();
}

absl::Status CheckSnapshot(RpcContext& rpc, const Call&, const node::v1::SnapshotOfNode& request,
                           node::v1::CheckSnapshotResponse&) {
  return rpc.follower->CheckSnapshot(WhichOf(request));
}

absl::Status OpenSeed(RpcContext& rpc, const Call&, const node::v1::OpenSeedRequest& request,
                      node::v1::OpenSeedResponse& response) {
  BEBR_ASSIGN_OR_RETURN(const Seed seed, request.has_snapshot()
                                             ? rpc.follower->OpenSnapshot(WhichOf(request.snapshot()))
                                             : rpc.follower->OpenSeed());
  response.set_seed(seed.name);
  if (!request.has_snapshot()) response.set_state(EncodeFollowerState(seed.state));
  for (const Alias& alias : seed.aliases) {
    v1::Alias* added = response.add_aliases();
    added->set_name(alias.name);
    added->set_collection(alias.collection);
  }
  for (const Seed::File& file : seed.files) {
    auto* added = response.add_files();
    added->set_path(file.path);
    added->set_bytes(file.bytes);
  }
  return absl::OkStatus();
}

absl::Status ReadSeed(RpcContext& rpc, const Call&, const node::v1::ReadSeedRequest& request,
                      node::v1::ReadSeedResponse& response) {
  BEBR_ASSIGN_OR_RETURN(std::string bytes,
                        rpc.follower->seeds().Read(request.seed(), request.path(), request.offset(), request.bytes()));
  response.set_crc32c(Crc32c(bytes));
  response.set_bytes(std::move(bytes));
  return absl::OkStatus();
}

absl::Status CloseSeed(RpcContext& rpc, const Call&, const node::v1::CloseSeedRequest& request,
                       node::v1::CloseSeedResponse&) {
  rpc.follower->seeds().Close(request.seed());
  return absl::OkStatus();
}

}  // namespace

std::vector<Method> LogMethods(std::string_view service) {
  const auto at = [service](const char* name) { return std::string(service) + name; };
  return {Unary<node::v1::UpsertRequest, node::v1::PrepareResponse>(at("Prepare"), Role::kRead, OfUpsert, Prepare),
          Unary<node::v1::AwaitRequest, node::v1::AwaitResponse>(at("Await"), Role::kRead, OfNone, Await),
          Unary<node::v1::GetOutcomeRequest, node::v1::GetOutcomeResponse>(at("GetOutcome"), Role::kRead, OfNone,
                                                                           GetOutcome),
          Blocking(at("GetDigest"), Role::kRead, OfCollection, GetDigest),
          Blocking(at("CheckUpdate"), Role::kRead, OfCollection, CheckUpdate),
          Blocking(at("PrepareBackfill"), Role::kRead, OfCollection, PrepareBackfill),
          Blocking(at("GetSnapshots"), Role::kRead, OfNone, GetSnapshots),
          Blocking(at("CheckSnapshot"), Role::kRead, OfSnapshot, CheckSnapshot),
          Blocking(at("OpenSeed"), Role::kRead, OfNone, OpenSeed),
          Blocking(at("ReadSeed"), Role::kRead, OfNone, ReadSeed),
          Blocking(at("CloseSeed"), Role::kRead, OfNone, CloseSeed)};
}

bool IsLogMethod(std::string_view name) {
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

void AddReplica(const ReplicaState& state, node::v1::GetStateResponse::Replica& out) {
  out.set_applied(state.applied);
  out.set_head(state.head);
  out.set_problem(ForCallers(state.problem));
  out.set_quarantined(state.quarantined);
  out.set_name_taken(state.name_taken);
  out.set_warning(ForCallers(state.warning));
  out.set_lag_seconds(absl::ToDoubleSeconds(state.lag));
  out.set_kept(state.kept);
  out.set_log(state.log);
  out.set_seed_bytes(state.seed_bytes);
  out.set_seeded_bytes(state.seeded_bytes);
}

}  // namespace bebr
