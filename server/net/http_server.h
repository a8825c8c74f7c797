// The HTTP side: metrics and probes.
#ifndef BEBR_SERVER_NET_HTTP_SERVER_H_
#define BEBR_SERVER_NET_HTTP_SERVER_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/metrics/metrics.h"

namespace bebr {

// The HTTP side: /metrics in Prometheus's text format, /healthz (200 while the process lives) and /readyz (200 while it
// takes calls, 503 before and after).
//
// Ownership: `metrics` and `ready` must outlive it. Thread safety: none needed; it has threads of its own.
class HttpServer {
 public:
  // Listens on `address`, HOST:PORT. UNAVAILABLE if that is not possible.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address, Metrics* metrics,
                                                           const std::atomic<bool>* ready);
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
};

}  // namespace bebr

#endif  // BEBR_SERVER_NET_HTTP_SERVER_H_
