#ifndef BEBR_SERVER_CALL_RPC_CONTEXT_H_
#define BEBR_SERVER_CALL_RPC_CONTEXT_H_

#include <atomic>
#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "index/engine.h"
#include "server/access/auth.h"
#include "server/call/blocking_pool.h"
#include "server/call/response_watch.h"
#include "server/call/stream_registry.h"
#include "server/config/config.h"
#include "server/metrics/metrics.h"

namespace bebr {

// What every handler works with. Ownership: the Server's; outlives all calls.
struct RpcContext {
  const ServerConfig& config;
  Engine* engine;
  Metrics* metrics;
  const Authenticator* authenticator;
  BlockingPool* blocking;
  StreamRegistry* streams;
  ResponseWatch* responses;
  std::atomic<uint64_t> upload_bytes{0};  // held by model uploads in progress
  const absl::Time started = absl::Now();
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_RPC_CONTEXT_H_
