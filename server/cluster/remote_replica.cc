// What a gateway asks of a node that follows a log.
#include <algorithm>
#include <utility>

#include "server/cluster/remote_node_impl.h"

namespace bebr {
namespace {

using Stub = NodeCalls::Stub;

constexpr absl::Duration kReachTimeout = absl::Seconds(30);  // of the log up to where something is asked of it

}  // namespace

void RemoteNode::Await(uint64_t position, SteadyTime deadline, absl::AnyInvocable<void(absl::Status)> done) {
  node::v1::AwaitRequest request;
  request.set_position(position);
  calls_.Begin<node::v1::AwaitRequest, node::v1::AwaitResponse>(
      &Stub::async::Await, request, deadline, {},
      [done = std::move(done)](const absl::Status& status, node::v1::AwaitResponse&&) mutable { done(status); });
}

void RemoteNode::Prepare(UpsertRequest request, uint64_t position, SteadyTime deadline,
                         absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done) {
  node::v1::UpsertRequest message;
  ToMessage(std::move(request), &message);
  NodeCalls::DemandOfNext({position, absl::InfiniteDuration()});
  calls_.Begin<node::v1::UpsertRequest, node::v1::PrepareResponse>(
      &Stub::async::Prepare, std::move(message), deadline, {},
      [done = std::move(done)](const absl::Status& status, node::v1::PrepareResponse&& response) mutable {
        if (!status.ok()) return done(status);
        UpsertResult result = FromMessage(std::move(*response.mutable_result()));
        done(PreparedChange{.change = std::move(*response.mutable_change()), .problems = std::move(result.problems)});
      });
}

void RemoteNode::Outcome(const LogPlace& place, uint32_t number, SteadyTime deadline,
                         absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done) {
  node::v1::GetOutcomeRequest request;
  request.set_position(place.position);
  request.set_append_high(place.append.high);
  request.set_append_low(place.append.low);
  request.set_number(number);
  calls_.Begin<node::v1::GetOutcomeRequest, node::v1::GetOutcomeResponse>(
      &Stub::async::GetOutcome, request, deadline, {},
      [done = std::move(done)](const absl::Status& status, node::v1::GetOutcomeResponse&& response) mutable {
        if (!status.ok()) return done(status);
        done(FromMessage(response));
      });
}

absl::Status RemoteNode::Reach(uint64_t position, SteadyTime deadline,
                               const std::shared_ptr<std::atomic<bool>>& cancelled) {
  node::v1::AwaitRequest request;
  request.set_position(position);
  node::v1::AwaitResponse response;
  return calls_.Wait(&Stub::Await, request, &response, std::min(deadline, SteadyNow() + kReachTimeout), {cancelled});
}

absl::StatusOr<PreparedBackfill> RemoteNode::PrepareBackfill(const std::string& collection, const std::string& version,
                                                             const std::string& after, uint32_t most_documents,
                                                             uint64_t position, SteadyTime deadline) {
  BEBR_RETURN_IF_ERROR(Reach(position, deadline, nullptr));
  node::v1::PrepareBackfillRequest request;
  request.set_collection(collection);
  request.set_version(version);
  request.set_after(after);
  request.set_most_documents(most_documents);
  node::v1::PrepareResponse response;
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::PrepareBackfill, request, &response, deadline));
  return PreparedBackfill{.change = std::move(*response.mutable_change()),
                          .documents = response.documents(),
                          .last_id = std::move(*response.mutable_last_id())};
}

void RemoteNode::CheckRoomFor(const AttributeUpdate& update, SteadyTime deadline,
                              absl::AnyInvocable<void(absl::Status)> done) {
  v1::UpdateAttributesRequest request;
  ToMessage(AttributeUpdate(update), &request);
  calls_.Begin<v1::UpdateAttributesRequest, node::v1::CheckUpdateResponse>(
      &Stub::async::CheckUpdate, std::move(request), deadline, {},
      [done = std::move(done)](const absl::Status& status, node::v1::CheckUpdateResponse&&) mutable { done(status); });
}

absl::StatusOr<CollectionDigest> RemoteNode::Digest(const std::string& collection, uint64_t position,
                                                    uint64_t bytes_per_s, SteadyTime deadline,
                                                    std::shared_ptr<std::atomic<bool>> cancelled) {
  BEBR_RETURN_IF_ERROR(Reach(position, deadline, cancelled));
  node::v1::GetDigestRequest request;
  request.set_collection(collection);
  request.set_position(position);
  request.set_bytes_per_s(bytes_per_s);
  node::v1::GetDigestResponse response;
  BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::GetDigest, request, &response, deadline, {std::move(cancelled)}));
  return CollectionDigest{.position = response.position(),
                          .documents = response.documents(),
                          .digest = std::move(*response.mutable_digest())};
}

absl::StatusOr<std::vector<ReplicaSnapshot>> RemoteNode::Snapshots(const std::string& collection, uint64_t position,
                                                                   SteadyTime deadline) {
  BEBR_RETURN_IF_ERROR(Reach(position, deadline, nullptr));
  node::v1::GetSnapshotsRequest request;
  request.set_collection(collection);
  node::v1::GetSnapshotsResponse response;
  BEBR_RETURN_IF_ERROR(
      calls_.Wait(&Stub::GetSnapshots, request, &response, std::min(deadline, SteadyNow() + kReachTimeout)));
  std::vector<ReplicaSnapshot> snapshots;
  for (const auto& one : response.snapshots()) {
    snapshots.push_back({.info = {.collection = one.collection(),
                                  .name = one.name(),
                                  .created = absl::FromUnixMicros(one.created_unix_us()),
                                  .documents = one.documents(),
                                  .bytes = one.bytes(),
                                  .position = one.position(),
                                  .problem = one.problem()},
                         .making = one.making()});
  }
  return snapshots;
}

absl::Status RemoteNode::CheckSnapshot(const SnapshotInfo& which, SteadyTime deadline) {
  node::v1::SnapshotOfNode request;
  request.set_collection(which.collection);
  request.set_name(which.name);
  request.set_position(which.position);
  node::v1::CheckSnapshotResponse response;
  return calls_.Wait(&Stub::CheckSnapshot, request, &response, deadline);
}

}  // namespace bebr
