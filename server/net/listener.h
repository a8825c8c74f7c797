// Accepting connections, up to a limit.
#ifndef BEBR_SERVER_NET_LISTENER_H_
#define BEBR_SERVER_NET_LISTENER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "server/metrics/metrics.h"
#include "server/net/connections.h"

namespace bebr {

// A Listener accepts connections and hands them over, at most `max_connections` at a time; what comes beyond is closed
// at once. gRPC's own listener has no such limit, and one that ever runs out of file descriptors accepts nothing any
// more.
//
// Strangers. A connection whose caller has not made a call that was let in (Known) has bounds of its own, since a
// stranger can send what is no call at all: headers without end, which cost gRPC time out of proportion. It is closed
// when it has sent 256 KiB and a second later is still a stranger's, with 1 MiB or where that has happened before from
// its host at once; when more than a few have sent 32 KiB and it is the heaviest; when it was silent for a minute; and,
// the most silent first, when strangers have a quarter of max_connections and another one comes. While many that were
// closed have not ended yet, since gRPC has calls of theirs to end, nobody is let in: the system keeps who comes. A
// connection, whosever it is, on which too many calls are read or begun that have not ended is closed too: its client
// takes them back faster than they can end, as often as it likes (CVE-2023-44487).
//
// Thread safety: Known, Greeted, Begun, Ended and ReadAhead may be called from any thread. It has threads of its own.
class Listener {
 public:
  // Takes over a connected socket, non-blocking, which it closes when it is done with it.
  using Take = std::function<void(int fd)>;

  // Listens on `address`, HOST:PORT; port 0 takes a free one. UNAVAILABLE if the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(const std::string& address, size_t max_connections,
                                                          const CallLimits& max_calls, Metrics* metrics);
  virtual ~Listener() = default;  // stops
  virtual int port() const = 0;
  // Begins to accept. Called once.
  virtual void Start(Take take) = 0;
  // Accepts no more, and closes the address. Those that there are go on, but are no longer looked at.
  virtual void Stop() = 0;
  // Closes those that have taken what was written to them and whose peer has no call, after Stop.
  virtual void CloseFree(absl::FunctionRef<bool(std::string_view peer)> has_call) = 0;
  // Closes those that there are, after Stop, as Connections::CloseAll. Calls on them fail as UNAVAILABLE at their
  // clients.
  virtual void CloseAll(absl::FunctionRef<bool()> wait) = 0;
  // The caller at `peer`, as gRPC names it, is no stranger from now on.
  virtual void Known(std::string_view peer) = 0;
  // A stranger made a call that needs no key: its silence ends, and it may send as much again.
  virtual void Greeted(std::string_view peer) = 0;
  // A call of the caller was begun, whatever comes of it; and has ended.
  virtual void Begun(std::string_view peer) = 0;
  virtual void Ended(std::string_view peer) = 0;
  // Too many calls were read from the socket that have not begun.
  virtual void ReadAhead(int fd) = 0;
};

}  // namespace bebr

#endif  // BEBR_SERVER_NET_LISTENER_H_
