// The engine of a gateway: over the nodes of a cluster, and with what an operator asks of these.
#ifndef BEBR_INDEX_GATEWAY_ENGINE_H_
#define BEBR_INDEX_GATEWAY_ENGINE_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/engine.h"
#include "index/types/cluster_report.h"

namespace bebr {

// Thread safety: as of Engine.
class GatewayEngine : public Engine {
 public:
  // UNAVAILABLE, with the reason, until it has known which collections there are: before it can do nothing, and an
  // empty list would be wrong. Waits for nothing.
  virtual absl::Status Ready() = 0;
  // How the nodes said about a second ago that they are. Waits for nothing.
  virtual ClusterReport Report() = 0;
  // Compares what the replicas of each share hold of a collection, or of all (""), each collection at one position of
  // the log, while it is searched and written; a replica that cannot be asked is told in the comparison.
  // FAILED_PRECONDITION where there is no log. Blocks: every replica reads all of the collection. `cancelled`, which
  // may be null, ends it.
  virtual absl::StatusOr<std::vector<ShareComparison>> Verify(const std::string& collection,
                                                              std::shared_ptr<std::atomic<bool>> cancelled) = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_GATEWAY_ENGINE_H_
