// The HTTP side: metrics and probes.
#ifndef BEBR_SERVER_NET_HTTP_SERVER_H_
#define BEBR_SERVER_NET_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/metrics/metrics.h"

namespace bebr {

// What /readyz answers: 200 if ready, else 503, with a text for people.
struct ReadyAnswer {
  bool ready = false;
  std::string text;
};

// The HTTP side: /metrics in Prometheus's text format, /healthz (200 while the process lives) and /readyz (200 while it
// takes calls, 503 before and after).
//
// Ownership: `metrics` and what `ready` uses must outlive it. `ready` must not wait: all probes do. Thread safety: none
// needed; it has threads of its own.
class HttpServer {
 public:
  // Listens on `address`, HOST:PORT. UNAVAILABLE if that is not possible.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address, Metrics* metrics,
                                                           std::function<ReadyAnswer()> ready);
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
};

}  // namespace bebr

#endif  // BEBR_SERVER_NET_HTTP_SERVER_H_
