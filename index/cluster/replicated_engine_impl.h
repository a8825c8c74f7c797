// The class behind replicated_engine.h.
#ifndef BEBR_INDEX_CLUSTER_REPLICATED_ENGINE_IMPL_H_
#define BEBR_INDEX_CLUSTER_REPLICATED_ENGINE_IMPL_H_

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "index/base/mutex.h"
#include "index/base/thread_pool.h"
#include "index/cluster/cluster_engine_impl.h"
#include "index/cluster/log_backfills.h"
#include "index/cluster/log_lane.h"
#include "index/cluster/replica_set.h"
#include "index/cluster/replicated_engine.h"
#include "index/replica/log_change.h"

namespace bebr {

// Reads are the ClusterEngine's, over ReplicaSets; what is written goes through the log.
class ReplicatedEngine final : public ClusterEngine {
 public:
  // `sets` are the members' nodes.
  ReplicatedEngine(std::vector<ClusterMember> members, std::vector<ReplicaSet*> sets, std::shared_ptr<LogHead> head,
                   const ReplicatedOptions& options);
  ~ReplicatedEngine() override;

  // replicated_control.cc
  ClusterReport Report() override;
  absl::StatusOr<std::vector<ShareComparison>> Verify(const std::string& collection,
                                                      std::shared_ptr<std::atomic<bool>> cancelled) override;
  std::vector<DamagedCollection> DamagedCollections() override;
  absl::Status Ready() override;

  ClusterMembers& members() { return keeper_; }

  // replicated_engine.cc: what changes a collection as a whole.
  absl::Status CreateCollection(const CollectionConfig& config, std::string_view model_file) override;
  absl::Status DeleteCollection(std::string_view name) override;
  absl::Status AddVersion(std::string_view collection, const VersionConfig& config,
                          std::string_view model_file) override;
  absl::Status PromoteVersion(std::string_view collection, std::string_view version, std::string_view expected_default,
                              bool force) override;
  absl::Status RetireVersion(std::string_view collection, std::string_view version) override;
  absl::Status SetAlias(std::string_view alias, std::string_view collection,
                        std::optional<std::string_view> expected) override;
  absl::Status DeleteAlias(std::string_view alias) override;

  // replicated_snapshots.cc
  absl::StatusOr<SnapshotInfo> CreateSnapshot(std::string_view collection, std::string_view name) override;
  absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(std::string_view collection) override;
  absl::Status RestoreSnapshot(std::string_view collection, std::string_view name,
                               std::string_view new_collection) override;
  absl::Status DeleteSnapshot(std::string_view collection, std::string_view name) override;

  // replicated_backfill.cc
  absl::StatusOr<CollectionInfo> GetCollection(std::string_view name) override;
  absl::Status StartBackfill(std::string_view collection, std::string_view version, uint64_t documents_per_s) override;
  absl::Status StopBackfill(std::string_view collection, std::string_view version) override;

  // replicated_writes.cc
  void Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) override;
  void Delete(std::string_view collection, std::vector<std::string> ids,
              absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override;
  void DeleteByFilter(const FilteredDeletion& request,
                      absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override;
  void UpdateAttributes(AttributeUpdate update, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override;

 private:
  using ChangeDone = absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)>;
  class UpsertCall;
  class LoggedCall;
  class FoundSnapshots;

  // FAILED_PRECONDITION if documents would be lost to searches with this version.
  absl::Status CheckRetired(std::string_view collection, std::string_view version);
  // Appends a change that is a barrier, and waits until it is made; where. Of one that is in the log and was not made
  // in time `placed` says where, unless it is null.
  absl::StatusOr<uint64_t> Made(const LogChange& change, uint64_t* placed = nullptr);
  absl::Status Barrier(const LogChange& change);
  // Calls it for every share at the same time; the first error.
  absl::Status OfEveryShare(const std::function<absl::Status(size_t)>& body);
  // Waits until a replica of the share has the snapshot; adds what it has.
  absl::Status AwaitSnapshot(size_t share, SnapshotInfo& all, Mutex& mutex);
  // Whether a replica of the share has it, whole, and those that do have room to restore it.
  absl::Status CheckShareOf(size_t share, const SnapshotInfo& which);
  // Of one collection, as Verify; notes what it finds.
  absl::StatusOr<std::vector<ShareComparison>> Compare(const std::string& collection, uint64_t bytes_per_s,
                                                       std::shared_ptr<std::atomic<bool>> cancelled);
  void Note(const ShareComparison& comparison);
  void KeepComparing(absl::Duration interval, uint64_t bytes_per_s);
  // Appends what is said to some nodes' shares and waits for what came of it there.
  void Log(std::map<size_t, std::string> changes, bool alone,
           absl::AnyInvocable<void(absl::StatusOr<LogLane::Placed>, std::map<size_t, ChangeOutcome>)> done);
  // A change of the documents with these ids; of those that satisfy a filter.
  void ChangeIds(std::string_view collection, std::vector<std::string> ids, std::optional<AttributeChange> change,
                 ChangeDone done);
  void ChangeSelected(CountRequest selected, std::optional<AttributeChange> change, ChangeDone done);
  // replicated_room.cc: whether the nodes' shares have room for such a change; without one they do.
  void CheckRoom(std::string_view collection, std::vector<size_t> nodes, const std::optional<AttributeChange>& change,
                 absl::AnyInvocable<void(absl::Status)> done);
  // A part of a backfill, written.
  absl::StatusOr<LogBackfills::Part> WritePart(size_t share, const LogBackfills::Subject& subject,
                                               const std::string& after, uint32_t most_documents);
  uint32_t LogShard(size_t node) const { return members_[node].place.first_slot + 1; }

  const std::vector<ReplicaSet*> sets_;
  const std::shared_ptr<LogHead> head_;
  const absl::Duration timeout_;
  std::atomic<size_t> filtered_{0};  // writes by filter that have not ended
  LogLane lane_;
  ClusterMembers keeper_;
  Mutex comparing_;  // held by the one comparison at a time
  Mutex verified_mutex_;
  CondVar wake_;
  // By collection and first slot: what was found where replicas differed.
  std::map<std::pair<std::string, uint32_t>, ShareComparison> differences_ ABSL_GUARDED_BY(verified_mutex_);
  ComparisonCounts compared_ ABSL_GUARDED_BY(verified_mutex_);
  const std::shared_ptr<std::atomic<bool>> ending_ = std::make_shared<std::atomic<bool>>(false);
  std::thread keep_comparing_;  // ends first
  ThreadPool waiting_;          // for what waits for nodes; its end runs what waits, which uses the members before it
  LogBackfills backfills_{sets_.size(),
                          [this](size_t share, const LogBackfills::Subject& subject, const std::string& after,
                                 uint32_t most) { return WritePart(share, subject, after, most); }};
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_REPLICATED_ENGINE_IMPL_H_
