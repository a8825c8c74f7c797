// The engine of a gateway.
#ifndef BEBR_SERVER_CLUSTER_GATEWAY_ENGINE_H_
#define BEBR_SERVER_CLUSTER_GATEWAY_ENGINE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "index/gateway_engine.h"
#include "index/types/membership.h"
#include "server/config/config.h"
#include "server/metrics/metrics.h"

namespace bebr {

// Over the nodes of cluster_nodes, and the log of cluster_log if there is one, whether they answer now or not.
// INVALID_ARGUMENT names a file of the configuration. `metrics` must outlive it.
struct OpenedGateway {
  std::unique_ptr<GatewayEngine> engine;
  Membership* membership = nullptr;  // the engine's; null: there is no log
};
absl::StatusOr<OpenedGateway> OpenGateway(const ServerConfig& config, Metrics* metrics);

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_GATEWAY_ENGINE_H_
