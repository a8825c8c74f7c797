// The class behind remote_node.h.
#ifndef BEBR_SERVER_CLUSTER_REMOTE_NODE_IMPL_H_
#define BEBR_SERVER_CLUSTER_REMOTE_NODE_IMPL_H_

#include <atomic>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "bebr/node/v1/node.grpc.pb.h"
#include "index/base/clock.h"
#include "index/base/status_macros.h"
#include "index/cluster/node.h"
#include "server/cluster/channel.h"
#include "server/cluster/convert.h"
#include "server/cluster/node_calls.h"
#include "server/cluster/search_queue.h"

namespace bebr {

// What MakeRemoteNode makes: its comment says what it promises. remote_node.cc has what any node is asked,
// remote_replica.cc what only those are that follow a log.
class RemoteNode final : public ReplicaNode, private Engine {
 public:
  RemoteNode(const NodePlace& place, const NodeCredentials& credentials, Canceller* canceller, Metrics* metrics)
      : canceller_(canceller), calls_(place, credentials, canceller, metrics) {}
  ~RemoteNode() override {
    canceller_->RemoveTick(tick_);
    // Of one that is no member any more nobody asks whether it answers.
    calls_.counters().answers->Set(std::numeric_limits<double>::quiet_NaN());
  }

  Engine& engine() override { return *this; }
  absl::StatusOr<NodeState> State() override {
    node::v1::GetStateResponse response;
    absl::Status status =
        calls_.Wait(&NodeCalls::Stub::GetState, node::v1::GetStateRequest(), &response, SteadyNow() + kStateTimeout);
    calls_.counters().answers->Set(status.ok() ? 1 : 0);
    if (!status.ok()) return status;
    return FromMessage(response);
  }

  void SetLog(uint64_t identity) override { calls_.SetLog(identity); }
  absl::StatusOr<Engine*> EngineAt(uint64_t position, SteadyTime deadline) override {
    NodeCalls::DemandOfNext({position, deadline});
    return &engine();
  }
  void Await(uint64_t position, SteadyTime deadline, absl::AnyInvocable<void(absl::Status)> done) override;
  void Prepare(UpsertRequest request, uint64_t position, SteadyTime deadline,
               absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done) override;
  void Outcome(const LogPlace& place, uint32_t number, SteadyTime deadline,
               absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done) override;
  absl::StatusOr<PreparedBackfill> PrepareBackfill(const std::string& collection, const std::string& version,
                                                   const std::string& after, uint32_t most_documents, uint64_t position,
                                                   SteadyTime deadline) override;
  void CheckRoomFor(const AttributeUpdate& update, SteadyTime deadline,
                    absl::AnyInvocable<void(absl::Status)> done) override;
  absl::StatusOr<CollectionDigest> Digest(const std::string& collection, uint64_t position, uint64_t bytes_per_s,
                                          SteadyTime deadline, std::shared_ptr<std::atomic<bool>> cancelled) override;
  absl::StatusOr<std::vector<ReplicaSnapshot>> Snapshots(const std::string& collection, uint64_t position,
                                                         SteadyTime deadline) override;
  absl::Status CheckSnapshot(const SnapshotInfo& which, SteadyTime deadline) override;

 private:
  // Waits until the log is applied up to there.
  absl::Status Reach(uint64_t position, SteadyTime deadline, const std::shared_ptr<std::atomic<bool>>& cancelled);
  void SetLimits(const EngineOptions&) override {}
  absl::Status CreateCollection(const CollectionConfig& config, std::string_view model_file) override;
  absl::Status DeleteCollection(std::string_view name) override;
  absl::StatusOr<CollectionInfo> GetCollection(std::string_view name) override;
  std::vector<std::string> ListCollections() override { return {}; }
  std::vector<UnavailableCollection> UnavailableCollections() override { return {}; }
  std::vector<ReadOnlyCollection> ReadOnlyCollections() override { return {}; }
  std::vector<DamagedCollection> DamagedCollections() override { return {}; }
  absl::Status AddVersion(std::string_view collection, const VersionConfig& config,
                          std::string_view model_file) override;
  absl::Status PromoteVersion(std::string_view collection, std::string_view version, std::string_view expected_default,
                              bool force) override;
  absl::Status RetireVersion(std::string_view collection, std::string_view version) override;
  absl::Status StartBackfill(std::string_view collection, std::string_view version, uint64_t documents_per_s) override;
  absl::Status StopBackfill(std::string_view collection, std::string_view version) override;
  absl::StatusOr<VersionCheck> CheckVersion(std::string_view, const CheckRequest&) override { return NotAsked(); }
  absl::Status SetAlias(std::string_view alias, std::string_view collection,
                        std::optional<std::string_view> expected) override;
  absl::Status DeleteAlias(std::string_view alias) override;
  std::vector<Alias> ListAliases() override { return {}; }
  std::string Resolve(std::string_view name) override { return std::string(name); }
  absl::StatusOr<SnapshotInfo> CreateSnapshot(std::string_view, std::string_view) override { return NotAsked(); }
  absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(std::string_view) override { return NotAsked(); }
  std::map<std::string, absl::Time> NewestSnapshots() override { return {}; }
  absl::Status RestoreSnapshot(std::string_view, std::string_view, std::string_view) override { return NotAsked(); }
  absl::Status DeleteSnapshot(std::string_view, std::string_view) override { return NotAsked(); }
  void Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) override;
  void Delete(std::string_view collection, std::vector<std::string> ids,
              absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override;
  void DeleteByFilter(const FilteredDeletion& request,
                      absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override;
  void UpdateAttributes(AttributeUpdate update, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override;
  absl::StatusOr<std::vector<Document>> Get(std::string_view collection, absl::Span<const std::string> ids,
                                            bool with_embeddings) override;
  absl::StatusOr<Page> Scroll(const PageRequest& request) override;
  absl::StatusOr<CountResult> Count(const CountRequest& request) override;
  absl::StatusOr<FacetResult> Facets(const FacetRequest& request) override;
  absl::StatusOr<std::vector<float>> Recommend(const ExampleRequest&) override { return NotAsked(); }
  void Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) override;
  // Not waited for: a view that is not let go of goes when its time is over.
  void ReleaseView(const std::string& view_token) override {
    node::v1::ReleaseViewRequest request;
    request.set_view_token(view_token);
    calls_.Begin<node::v1::ReleaseViewRequest, node::v1::ReleaseViewResponse>(
        &NodeCalls::Stub::async::ReleaseView, std::move(request), absl::InfiniteDuration(), {},
        [](const absl::Status&, node::v1::ReleaseViewResponse&&) {});
  }
  EngineStats Stats() override { return {}; }
  absl::StatusOr<MemoryUse> EstimateMemory(std::string_view collection, uint64_t documents, double id_bytes,
                                           const AttributeLoad& attributes) override;

  static absl::Status NotAsked() { return absl::UnimplementedError("gateways do not ask this of nodes"); }

  static constexpr absl::Duration kStateTimeout = absl::Seconds(3);

  // Makes a call of some searches; `ended` runs at its end.
  void SendSearches(SearchQueue::Group waiting, std::function<void()> ended);

  Canceller* const canceller_;
  SearchQueue searches_{[this](SearchQueue::Group together, std::function<void()> ended) {
    SendSearches(std::move(together), std::move(ended));
  }};
  NodeCalls calls_;  // whose end waits for what uses the queue
  const Canceller::Ticks::iterator tick_ = canceller_->AddTick([this] { searches_.Tick(); });
};

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_REMOTE_NODE_IMPL_H_
