// A node of a cluster, as its gateway sees it.
#ifndef BEBR_INDEX_CLUSTER_NODE_H_
#define BEBR_INDEX_CLUSTER_NODE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/engine.h"

namespace bebr {

// What a node says of itself.
struct NodeState {
  std::vector<std::string> collections;
  std::vector<Alias> aliases;
  std::vector<UnavailableCollection> unavailable;
  std::vector<ReadOnlyCollection> read_only;
  std::vector<DamagedCollection> damaged;
  EngineStats stats;
};

// A ClusterNode is an engine that may be in another process: then its calls fail with UNAVAILABLE where that does not
// answer, and those that return no status are not asked of it. Thread safety: as of Engine.
class ClusterNode {
 public:
  virtual ~ClusterNode() = default;
  virtual Engine& engine() = 0;
  // Waits for the answer, some seconds at most.
  virtual absl::StatusOr<NodeState> State() = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_NODE_H_
