// The server as a whole.
#ifndef BEBR_SERVER_SERVER_H_
#define BEBR_SERVER_SERVER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/config.h"

namespace bebr {

// A Server is the whole process: an engine, its gRPC API (with the standard health service and reflection), and the
// HTTP side.
//
// Start opens in this order: HTTP (alive, not ready), engine, gRPC (SERVING, ready). Drain goes the other way: not
// ready and NOT_SERVING, no new connections and calls, calls in flight finish or are cut off after drain_timeout_s,
// engine closed, HTTP closed. To its client a call that a stop meets is UNAVAILABLE. If calls take longer than a
// second, connections that have none are closed, and the clients of the others told (GOAWAY), so that all of them look
// for another server.
//
// Thread safety: Drain is called once, from any thread; Hurry meanwhile, from any thread; Reload from one thread,
// before Drain. Errors: INVALID_ARGUMENT for files named by the configuration, UNAVAILABLE for addresses that cannot be
// listened on, else the engine's.
class Server {
 public:
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config);
  virtual ~Server() = default;

  virtual void Drain() = 0;
  // Drain cuts off the calls that are still in flight, and waits for no client to take its answer.
  virtual void Hurry() = 0;
  // Reads the keys file again and takes over what may change of `config` while it runs (LiveLimits, the log's level);
  // of the rest the log says that it takes a restart. What is not valid changes nothing, the log says why, and it is
  // counted: an error instead of a configuration too.
  virtual void Reload(const absl::StatusOr<ServerConfig>& config) = 0;
};

}  // namespace bebr

#endif  // BEBR_SERVER_SERVER_H_
