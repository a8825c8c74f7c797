// Replicas of one share of the documents, as one node.
#ifndef BEBR_INDEX_CLUSTER_REPLICA_SET_H_
#define BEBR_INDEX_CLUSTER_REPLICA_SET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/base/thread_pool.h"
#include "index/cluster/later.h"
#include "index/cluster/log_head.h"
#include "index/cluster/no_writes.h"
#include "index/cluster/node.h"
#include "index/cluster/replica_tries.h"
#include "index/types/cluster.h"
#include "index/types/cluster_report.h"
#include "index/types/membership.h"

namespace bebr {

// A replica.
struct ReplicaMember {
  NodePlace place;
  std::unique_ptr<ReplicaNode> node;
};

// How a node is called.
using MakeReplicaNode = std::function<std::unique_ptr<ReplicaNode>(const NodePlace&)>;

// A ReplicaSet is a node made of several that follow the same log and hold the same documents.
//
// Reads. A read goes to a replica that has applied the log up to where it ended when the read began; one that fails, or
// does not answer soon, is followed by another. Where none has applied so much in time, or the log cannot be asked
// where it ends, searches, counts, pages and values are those of the replica that is furthest, and their warnings say
// "may_be_stale"; a Get fails with UNAVAILABLE. A view that is kept lies on one replica, and goes with it.
//
// Writes are not the engine's: Prepare and Outcome are for who appends to the log.
//
// Members come and go while it is in use (SetMembers); those that join or are drained are asked how they are, and
// nothing else. Calls of one that has gone go on to their end.
//
// Thread safety: all methods may be called from any thread. The end waits for no call:
// all of them must have ended.
class ReplicaSet final : public ClusterNode, private EngineWithoutWrites {
 public:
  // A call without a deadline of its own takes `timeout` at most.
  ReplicaSet(std::vector<ReplicaMember> members, std::shared_ptr<LogHead> head, absl::Duration timeout);

  Engine& engine() override { return *this; }
  // Of the replica that is furthest; what is wrong with the others Report tells. An error if none answers.
  absl::StatusOr<NodeState> State() override;
  // The slots, and names and addresses of those that serve.
  NodePlace place() const override;
  // Those of this share; with other addresses than before they are others. One that serves at least.
  void SetMembers(const std::vector<Member>& members, const MakeReplicaNode& make);
  // How they were when State was called last; for who keeps the members, and as the cluster's report has it.
  std::vector<MemberReport> Reports() const;
  ShareReport Report() const;
  // What each that serves holds of a collection where the log asked for a comparison, at `position`: read at the same
  // time.
  std::vector<ReplicaDigest> Digests(const std::string& collection, uint64_t position, uint64_t bytes_per_s,
                                     SteadyTime deadline, const std::shared_ptr<std::atomic<bool>>& cancelled) const;

  // What each that serves says of the cluster's snapshots, and of one of them: as ReplicaNode's methods, asked at the
  // same time. By node.
  std::vector<std::pair<NodePlace, absl::StatusOr<std::vector<ReplicaSnapshot>>>> Snapshots(
      const std::string& collection, uint64_t position, SteadyTime deadline) const;
  std::vector<std::pair<NodePlace, absl::Status>> CheckSnapshot(const SnapshotInfo& which, SteadyTime deadline) const;

  // The change that an upsert is, of a replica that has applied the log up to `position`.
  void Prepare(UpsertRequest request, uint64_t position, absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done);
  // A part of a backfill, of a replica that has applied what is known here of the log. Blocks.
  absl::StatusOr<PreparedBackfill> PrepareBackfill(const std::string& collection, const std::string& version,
                                                   const std::string& after, uint32_t most_documents);
  // RESOURCE_EXHAUSTED if a replica would refuse the update for want of room; nothing else is an error.
  void CheckRoomFor(const AttributeUpdate& update, absl::AnyInvocable<void(absl::Status)> done);
  // UNAVAILABLE if the replicas follow another log than this gateway, or one has applied what the log does not have:
  // then nothing must be written.
  absl::Status CheckLog() const;
  // What came of a change, once one replica has applied it: of a change of this very append.
  void Outcome(const LogPlace& place, uint32_t number, absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done);

 private:
  template <typename Result>
  class Round;
  template <typename Result>
  void MarkStale(Result& result) {
    stale_answers_.fetch_add(1, std::memory_order_relaxed);
    result.may_be_stale = true;
    result.warnings.push_back(StaleWarning(slots_));
  }
  // A replica, and how it did last.
  struct Replica {
    explicit Replica(ReplicaMember member)
        : place(std::move(member.place)),
          node(std::move(member.node)),
          report({.place = place, .problem = "has not answered yet"}) {}
    const NodePlace place;
    const std::unique_ptr<ReplicaNode> node;
    std::atomic<uint64_t> applied{0};
    std::atomic<bool> failing{false};
    mutable Mutex mutex;
    ReplicaState told ABSL_GUARDED_BY(mutex);
    SteadyTime told_at ABSL_GUARDED_BY(mutex);
    absl::Status other_log ABSL_GUARDED_BY(mutex);  // it follows another one
    ReplicaReport report ABSL_GUARDED_BY(mutex);
  };
  using Replicas = std::vector<std::shared_ptr<Replica>>;
  // What it is in the set; the whole list changes at once, so that there is always one that serves.
  struct Seat {
    std::shared_ptr<Replica> replica;
    MemberState state = MemberState::kServing;
  };

  void Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) override;
  absl::StatusOr<CollectionInfo> GetCollection(std::string_view name) override;
  absl::StatusOr<std::vector<Document>> Get(std::string_view collection, absl::Span<const std::string> ids,
                                            bool with_embeddings) override;
  absl::StatusOr<Page> Scroll(const PageRequest& request) override;
  absl::StatusOr<CountResult> Count(const CountRequest& request) override;
  absl::StatusOr<FacetResult> Facets(const FacetRequest& request) override;
  absl::StatusOr<MemoryUse> EstimateMemory(std::string_view collection, uint64_t documents, double id_bytes,
                                           const AttributeLoad& attributes) override;
  void ReleaseView(const std::string& view_token) override;

  std::vector<Seat> All() const;
  // Those that serve.
  Replicas Serving() const;
  // The same, those first that are well and have applied so much; of 0, that have applied most.
  Replicas Order(uint64_t position);
  // The one that has the view of a token, and the view's token there.
  absl::StatusOr<std::pair<std::shared_ptr<Replica>, std::string>> OfView(const std::string& token) const;
  // Notes how a call of a replica ended that was asked for what the log has up to `position`; whether another replica
  // may do better. The error gets the replica's name.
  bool IsOfReplica(Replica& replica, uint64_t position, absl::Status& error) const;
  // UNAVAILABLE if it said that something is not there, and lacks what would tell it.
  absl::Status MayNotKnow(const Replica& replica, uint64_t position, const absl::Status& error) const;
  static void Succeeded(Replica& replica, uint64_t position);
  // What it says of itself, noted; or why it says nothing.
  absl::StatusOr<NodeState> Ask(Replica& replica) const;
  SteadyTime EndOf(SteadyTime deadline) const;
  // The furthest position that one that is well has applied: which the log had, and has, unless it was brought back.
  uint64_t MostApplied() const;
  static absl::Status WentBack(uint64_t applied, uint64_t end);
  // What each that serves answers, asked at the same time. By node.
  template <typename Answer>
  std::vector<std::pair<NodePlace, Answer>> AskServing(const std::function<Answer(ReplicaNode&)>& question) const;

  // What `call` returns of a replica, as Round has it; `stale` is told whether it may be stale, and where it is null it
  // must not be.
  template <typename Result>
  absl::StatusOr<Result> Read(SteadyTime deadline, bool* stale,
                              const std::function<absl::StatusOr<Result>(Engine&)>& call, std::string* which = nullptr);
  // One attempt of Read.
  template <typename Result>
  static absl::StatusOr<Result> Try(Replica& replica, uint64_t position, SteadyTime deadline,
                                    const std::function<absl::StatusOr<Result>(Engine&)>& call);

  const NodePlace slots_;  // without a name
  const std::shared_ptr<LogHead> head_;
  const absl::Duration timeout_;
  mutable Mutex mutex_;
  std::vector<Seat> seats_ ABSL_GUARDED_BY(mutex_);
  // Their calls may be on the way, and none must end what it is made with: they go when nobody else holds them.
  Replicas gone_ ABSL_GUARDED_BY(mutex_);
  std::atomic<size_t> turn_{0};
  std::atomic<uint64_t> stale_answers_{0};
  ThreadPool askers_;  // of State
  Later later_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_REPLICA_SET_H_
