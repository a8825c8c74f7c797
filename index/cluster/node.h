// A node of a cluster, as its gateway sees it.
#ifndef BEBR_INDEX_CLUSTER_NODE_H_
#define BEBR_INDEX_CLUSTER_NODE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/engine.h"
#include "index/log/log.h"
#include "index/types/cluster.h"
#include "index/types/replication.h"

namespace bebr {

// What a node says of itself.
struct NodeState {
  std::vector<std::string> collections;
  std::vector<Alias> aliases;
  std::vector<UnavailableCollection> unavailable;
  std::vector<ReadOnlyCollection> read_only;
  std::vector<DamagedCollection> damaged;
  EngineStats stats;
  std::optional<ReplicaState> replica;  // of a node that follows a log
};

// A ClusterNode is an engine that may be in another process: then its calls fail with UNAVAILABLE where that does not
// answer, and those that return no status are not asked of it. Thread safety: as of Engine.
class ClusterNode {
 public:
  virtual ~ClusterNode() = default;
  virtual Engine& engine() = 0;
  // Waits for the answer, some seconds at most.
  virtual absl::StatusOr<NodeState> State() = 0;
  // Its name and address where they change; without a name they do not.
  virtual NodePlace place() const { return {}; }
};

// A ReplicaNode is a node that follows the cluster's log, as others do that hold the same. `done` may run on any
// thread, the caller's too.
class ReplicaNode : public ClusterNode {
 public:
  // Calls from now on, but State, fail with UNAVAILABLE where the node follows another log; 0: any will do.
  virtual void SetLog(uint64_t identity) = 0;
  // The engine, for the one call that this thread makes next: which fails with ABORTED unless the node has applied the
  // log up to `position`, and with UNAVAILABLE if it is not answered at `deadline`.
  virtual absl::StatusOr<Engine*> EngineAt(uint64_t position, SteadyTime deadline) = 0;
  // As Follower's methods of the same names.
  virtual void Await(uint64_t position, SteadyTime deadline, absl::AnyInvocable<void(absl::Status)> done) = 0;
  virtual void Prepare(UpsertRequest request, uint64_t position, SteadyTime deadline,
                       absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done) = 0;
  virtual void Outcome(const LogPlace& place, uint32_t number, SteadyTime deadline,
                       absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done) = 0;
  // As Follower's, once the node has applied the log up to `position`. Blocks.
  virtual absl::StatusOr<PreparedBackfill> PrepareBackfill(const std::string& collection, const std::string& version,
                                                           const std::string& after, uint32_t most_documents,
                                                           uint64_t position, SteadyTime deadline) = 0;
  // As Follower::CheckRoomFor, of the update's change.
  virtual void CheckRoomFor(const AttributeUpdate& update, SteadyTime deadline,
                            absl::AnyInvocable<void(absl::Status)> done) = 0;
  // What it held of a collection where the log asked for a comparison, read at so many bytes a second (0: no limit).
  // Blocks for that; `cancelled`, which may be null, ends it.
  virtual absl::StatusOr<CollectionDigest> Digest(const std::string& collection, uint64_t position,
                                                  uint64_t bytes_per_s, SteadyTime deadline,
                                                  std::shared_ptr<std::atomic<bool>> cancelled) = 0;
  // The cluster's snapshots of a collection, or of all (""), as it has its share of them, once it has applied the log
  // up to `position`. Blocks.
  virtual absl::StatusOr<std::vector<ReplicaSnapshot>> Snapshots(const std::string& collection, uint64_t position,
                                                                 SteadyTime deadline) = 0;
  // Whether it has one, whole, and room for it, as KeptSnapshots::CheckRestorable. Blocks while all of it is read.
  virtual absl::Status CheckSnapshot(const SnapshotInfo& which, SteadyTime deadline) = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_NODE_H_
