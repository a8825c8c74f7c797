// The connections there are, and which of them are strangers.
#ifndef BEBR_SERVER_NET_CONNECTIONS_H_
#define BEBR_SERVER_NET_CONNECTIONS_H_

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "server/metrics/metrics.h"

namespace bebr {

// How many calls may be begun on a connection and have not ended.
struct CallLimits {
  size_t known;
  size_t stranger;  // on a stranger's
};

// The connections that were handed to gRPC, which are strangers', and what strangers may do: see Listener.
//
// They are known by their sockets' numbers, which belong to gRPC: one is closed for reading and writing here, and gRPC
// does the rest. Thread safety: all methods may be called from any thread.
class Connections {
 public:
  static constexpr uint64_t kStrangerBytes = 256 << 10;
  static constexpr uint64_t kGreetingBytes = 4 << 10;      // more, for a call without a key
  static constexpr uint64_t kMostStrangerBytes = 1 << 20;  // not even for a second
  static constexpr uint64_t kHeavyBytes = 32 << 10;
  static constexpr absl::Duration kHeavyTime = absl::Milliseconds(100);
  static constexpr size_t kMostHeavy = 8;      // strangers that sent more than that, so long ago
  static constexpr size_t kMostNewHeavy = 64;  // or just now: after a restart of the server many clients come at once
  static constexpr size_t kMostClosing = 16;   // closed here, and not yet by gRPC
  static constexpr absl::Duration kStrangerSilence = absl::Seconds(60);
  static constexpr absl::Duration kForgetInterval = absl::Milliseconds(500);

  Connections(size_t most, const CallLimits& most_calls, Metrics* metrics);

  // Adds a connection, closing a stranger's where they have their share. False, adding nothing, if there are too many.
  bool Add(int fd, const sockaddr_storage& address, SteadyTime now);
  void Known(std::string_view peer);
  void Greeted(std::string_view peer, SteadyTime now);
  // A call of the peer was begun, and has ended. Closes a connection with too many: its calls are taken back before
  // they can end, which HTTP/2 does not count.
  void Begun(std::string_view peer);
  void Ended(std::string_view peer);
  // Closes a connection from which too many calls were read that have not begun, if it is one of these.
  void ReadAhead(int fd);
  // Closes strangers' that have had their time or sent too much. Cost: about a microsecond a stranger.
  void Look(SteadyTime now);
  // Whether gRPC has so many connections to end yet that it is to be given no more: it ends one with thousands of calls
  // more slowly than it reads them.
  bool Crowded();
  // Forgets those that are closed. Cost: about a microsecond a connection.
  void Forget();

  // Closes those that have taken what was written to them and of which `busy` is false, given the peer.
  void CloseFree(absl::FunctionRef<bool(std::string_view peer)> busy);
  // Closes all of them, once their peers have what was written to them, or `wait` is false: a peer that sends something
  // to a socket that is closed has what was still on its way to it thrown away.
  void CloseAll(absl::FunctionRef<bool()> wait);

  size_t size() const;
  // When Look is worth calling again.
  absl::Duration look_interval() const;

 private:
  // A socket's number alone does not tell whether it is still open: the number may have been given to another file
  // meanwhile, but not the socket's inode with it.
  struct Socket {
    int fd = -1;
    ino_t inode = 0;
    bool IsOpen() const;
  };
  struct Connection;
  bool AllSent() const;
  // By peer. One peer may have several, to different addresses of this machine.
  using Map = std::multimap<std::string, Connection, std::less<>>;
  using Strangers = std::list<Map::iterator>;
  struct Connection {
    Socket socket;
    size_t calls = 0;  // that have not ended
    bool stranger = true;
    // Of a stranger:
    SteadyTime heard;            // its last call, or when it came
    uint64_t allowed_bytes = 0;  // what it may have sent in all
    uint64_t sent_bytes = 0;     // beside calls that it may make, when it was looked at
    SteadyTime exceeded_at;      // when it had sent more; InfiniteDuration: it has not
    SteadyTime heavy_at;         // when it had sent kHeavyBytes; InfiniteDuration: it has not
    Strangers::iterator place;   // in strangers_
  };

  void Befriend(Map::iterator connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why the stranger is to be closed; null if it is not.
  const char* ReasonToClose(const Map::value_type& entry, SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Close(Map::iterator connection, const char* reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Closes the heaviest of these, down to `most`.
  void CloseHeaviest(std::vector<Map::iterator> heavy, size_t most) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetClosed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SteadyTime& LastFlood(std::string_view peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t most_;
  const size_t most_strangers_;
  const CallLimits most_calls_;
  Metrics* const metrics_;
  mutable Mutex mutex_;
  Map connections_ ABSL_GUARDED_BY(mutex_);
  Strangers strangers_ ABSL_GUARDED_BY(mutex_);  // the most silent first
  std::vector<Socket> closing_ ABSL_GUARDED_BY(mutex_);
  absl::Duration look_interval_ ABSL_GUARDED_BY(mutex_);
  // When one of a host was closed for its bytes; hosts share by hash.
  std::vector<SteadyTime> floods_ ABSL_GUARDED_BY(mutex_);
};

// The name that gRPC gives to a peer of this address: "ipv4:10.0.0.1:4711", "ipv6:%5B::1%5D:4711".
std::string PeerName(const sockaddr_storage& address);

}  // namespace bebr

#endif  // BEBR_SERVER_NET_CONNECTIONS_H_
