#ifndef BEBR_SERVER_NET_LISTENER_H_
#define BEBR_SERVER_NET_LISTENER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/metrics/metrics.h"

namespace bebr {

// A Listener accepts connections and hands them over, at most `max_connections` at a time; what comes beyond is closed
// at once. gRPC's own listener has no such limit, and one that ever runs out of file descriptors accepts nothing any
// more.
//
// Thread safety: none needed; it has a thread of its own.
class Listener {
 public:
  // Takes over a connected socket, non-blocking, which it closes when it is done with it.
  using Take = std::function<void(int fd)>;

  // Listens on `address`, HOST:PORT; port 0 takes a free one. UNAVAILABLE if that is not possible.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(const std::string& address, size_t max_connections,
                                                          Metrics* metrics);
  // Stops accepting.
  virtual ~Listener() = default;
  virtual int port() const = 0;
  // Begins to accept. Called once.
  virtual void Start(Take take) = 0;
};

}  // namespace bebr

#endif  // BEBR_SERVER_NET_LISTENER_H_
