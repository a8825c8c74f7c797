// What handlers work with.
#ifndef BEBR_SERVER_CALL_RPC_CONTEXT_H_
#define BEBR_SERVER_CALL_RPC_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "index/engine.h"
#include "server/access/auth.h"
#include "server/access/limits.h"
#include "server/call/blocking_pool.h"
#include "server/call/call_ids.h"
#include "server/call/gate.h"
#include "server/call/memory_budget.h"
#include "server/call/response_watch.h"
#include "server/call/stream_registry.h"
#include "server/config/config.h"
#include "server/config/live_limits.h"
#include "server/metrics/metrics.h"
#include "server/trace/tracer.h"

namespace bebr {

class Follower;
class GatewayEngine;
class Membership;

// What every call works with. Ownership: the Server's; outlives all calls.
struct RpcContext {
  const ServerConfig& config;  // as at the start
  const LiveLimits& limits;
  Engine* engine;
  Metrics* metrics;
  const Authenticator* authenticator;
  BlockingPool* blocking;
  StreamRegistry* streams;
  ResponseWatch* responses;
  Tracer* tracer = nullptr;          // none: calls are not traced
  Follower* follower = nullptr;      // of a node that follows a log
  GatewayEngine* cluster = nullptr;  // the engine, of a gateway
  Membership* membership = nullptr;  // of a gateway of a cluster with a log
  // Told of callers, by gRPC's name for the peer, that were let in with their key, and without one.
  std::function<void(std::string_view peer)> known = [](std::string_view) {};
  std::function<void(std::string_view peer)> greeted = [](std::string_view) {};
  // Told of every call that is begun, and of its end.
  std::function<void(grpc::GenericCallbackServerContext*, std::string_view peer)> begun = [](auto*, auto) {};
  std::function<void(std::string_view peer)> ended = [](std::string_view) {};
  MemoryBudget parsed{limits.max_parsed_bytes};   // of requests in progress
  MemoryBudget answers{limits.max_answer_bytes};  // of answers that are being made
  RefusalLimits refusals;
  KeylessCalls keyless;
  Gate gate;                              // of the calls that are let in; closed when the server stops
  std::atomic<uint64_t> upload_bytes{0};  // held by model uploads in progress
  const absl::Time started = absl::Now();
  // Begins the kPeerMetadata of calls that the server makes to itself for others, and of no others.
  const std::string peer_secret = MakePeerSecret();
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_RPC_CONTEXT_H_
