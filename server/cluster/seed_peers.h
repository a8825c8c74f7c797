// The replicas of a node's share, as what it may be filled from.
#ifndef BEBR_SERVER_CLUSTER_SEED_PEERS_H_
#define BEBR_SERVER_CLUSTER_SEED_PEERS_H_

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "index/follow/seed.h"
#include "index/types/cluster.h"
#include "server/config/config.h"
#include "server/metrics/metrics.h"

namespace bebr {

// Of those that `others` names then, in an order by chance. INVALID_ARGUMENT names a file of the configuration.
// `metrics` must outlive it.
absl::StatusOr<SeedSources> SeedPeers(const ServerConfig& config, std::function<std::vector<NodePlace>()> others,
                                      Metrics* metrics);

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_SEED_PEERS_H_
