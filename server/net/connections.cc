#include "server/net/connections.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace bebr {
namespace {

constexpr size_t kHostBuckets = 1024;
constexpr absl::Duration kGrace = absl::Seconds(1);
constexpr absl::Duration kStrictTime = absl::Minutes(1);
constexpr size_t kStrangersShare = 4;               // one in so many connections
constexpr size_t kMostReceived = size_t{64} << 20;  // that a socket holds
constexpr absl::Duration kLookInterval = absl::Milliseconds(50);
constexpr absl::Duration kHeavyLookInterval = absl::Milliseconds(10);

uint64_t BytesReceived(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received : 0;
}

// Whether the peer has what was written to it.
bool HasSent(int fd) {
  int waiting = 0;
  return ioctl(fd, SIOCOUTQ, &waiting) != 0 || waiting == 0;
}

}  // namespace

std::string PeerName(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return absl::StrFormat("ipv4:%s:%d", text, ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof(text));
    return absl::StrFormat("ipv4:%s:%d", text, ntohs(v6.sin6_port));
  }
  inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
  const std::string zone = v6.sin6_scope_id == 0 ? "" : absl::StrFormat("%%25%d", v6.sin6_scope_id);
  return absl::StrFormat("ipv6:%%5B%s%s%%5D:%d", text, zone, ntohs(v6.sin6_port));
}

Connections::Connections(size_t most, const CallLimits& most_calls, Metrics* metrics)
    : most_(most),
      most_strangers_(most / kStrangersShare + 1),
      most_calls_(most_calls),
      metrics_(metrics),
      look_interval_(kForgetInterval),
      floods_(kHostBuckets, -absl::InfiniteDuration()) {}

bool Connections::Socket::IsOpen() const {
  struct stat info {};
  return fstat(fd, &info) == 0 && info.st_ino == inode;
}

bool Connections::Add(int fd, const sockaddr_storage& address, SteadyTime now) {
  struct stat info {};
  fstat(fd, &info);
  MutexLock lock(&mutex_);
  if (strangers_.size() >= most_strangers_) Close(strangers_.front(), "room");
  if (connections_.size() + closing_.size() >= most_) return false;
  look_interval_ = kHeavyLookInterval;  // nobody knows yet what it sends
  const auto added = connections_.emplace(PeerName(address), Connection{.socket = {fd, info.st_ino},
                                                                        .heard = now,
                                                                        .allowed_bytes = kStrangerBytes,
                                                                        .exceeded_at = absl::InfiniteDuration(),
                                                                        .heavy_at = absl::InfiniteDuration()});
  added->second.place = strangers_.insert(strangers_.end(), added);
  return true;
}

void Connections::Known(std::string_view peer) {
  MutexLock lock(&mutex_);
  const auto [begin, end] = connections_.equal_range(peer);
  for (auto connection = begin; connection != end; ++connection) Befriend(connection);
}

void Connections::Greeted(std::string_view peer, SteadyTime now) {
  MutexLock lock(&mutex_);
  const auto [begin, end] = connections_.equal_range(peer);
  for (auto at = begin; at != end; ++at) {
    Connection& connection = at->second;
    if (!connection.stranger) continue;
    connection.heard = now;
    // As much as such a call takes: it must not pay for what else comes.
    connection.allowed_bytes =
        std::min(BytesReceived(connection.socket.fd) + kStrangerBytes, connection.allowed_bytes + kGreetingBytes);
    connection.exceeded_at = absl::InfiniteDuration();
    strangers_.splice(strangers_.end(), strangers_, connection.place);
  }
}

void Connections::Begun(std::string_view peer) {
  MutexLock lock(&mutex_);
  const auto [begin, end] = connections_.equal_range(peer);
  for (auto at = begin; at != end;) {
    const auto entry = at++;  // closing it takes it out of the map
    const size_t most = entry->second.stranger ? most_calls_.stranger : most_calls_.known;
    if (++entry->second.calls > most) Close(entry, "calls");
  }
}

void Connections::Ended(std::string_view peer) {
  MutexLock lock(&mutex_);
  const auto [begin, end] = connections_.equal_range(peer);
  for (auto at = begin; at != end; ++at) at->second.calls -= std::min<size_t>(at->second.calls, 1);
}

void Connections::ReadAhead(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return;
  MutexLock lock(&mutex_);
  const auto [begin, end] = connections_.equal_range(PeerName(address));
  const auto found = std::find_if(begin, end, [&](const auto& entry) { return entry.second.socket.fd == fd; });
  if (found != end) Close(found, "calls");
}

void Connections::Befriend(Map::iterator connection) {
  if (!std::exchange(connection->second.stranger, false)) return;
  strangers_.erase(connection->second.place);
}

SteadyTime& Connections::LastFlood(std::string_view peer) {
  return floods_[absl::HashOf(peer.substr(0, peer.rfind(':'))) % kHostBuckets];
}

const char* Connections::ReasonToClose(const Map::value_type& entry, SteadyTime now) {
  const auto& [peer, connection] = entry;
  if (now - connection.heard > kStrangerSilence) return "silence";
  if (connection.exceeded_at == absl::InfiniteDuration()) return nullptr;
  const bool strict = now - LastFlood(peer) < kStrictTime;
  const bool far = connection.sent_bytes > kMostStrangerBytes;
  return strict || far || now - connection.exceeded_at > kGrace ? "bytes" : nullptr;
}

void Connections::Look(SteadyTime now) {
  MutexLock lock(&mutex_);
  std::vector<Map::iterator> heavy, long_heavy;
  for (auto at = strangers_.begin(); at != strangers_.end();) {
    const auto entry = *at++;  // closing it takes it out of the list
    Connection& connection = entry->second;
    if (!connection.socket.IsOpen()) continue;
    // What calls paid for that it may make is not counted.
    const uint64_t received = BytesReceived(connection.socket.fd), paid = connection.allowed_bytes - kStrangerBytes;
    connection.sent_bytes = received - std::min(received, paid);
    if (connection.sent_bytes > kStrangerBytes) connection.exceeded_at = std::min(connection.exceeded_at, now);
    const char* reason = ReasonToClose(*entry, now);
    if (reason != nullptr) {
      if (std::string_view(reason) == "bytes") LastFlood(entry->first) = now;
      Close(entry, reason);
    } else if (connection.sent_bytes > kHeavyBytes) {
      connection.heavy_at = std::min(connection.heavy_at, now);
      (now - connection.heavy_at < kHeavyTime ? heavy : long_heavy).push_back(entry);
    }
  }
  look_interval_ = !heavy.empty() || !long_heavy.empty() ? kHeavyLookInterval
                   : !strangers_.empty()                 ? kLookInterval
                                                         : kForgetInterval;
  CloseHeaviest(std::move(heavy), kMostNewHeavy);
  CloseHeaviest(std::move(long_heavy), kMostHeavy);
}

void Connections::CloseHeaviest(std::vector<Map::iterator> heavy, size_t most) {
  if (heavy.size() <= most) return;
  std::nth_element(heavy.begin(), heavy.begin() + static_cast<ptrdiff_t>(most), heavy.end(),
                   [](const auto& a, const auto& b) { return a->second.sent_bytes < b->second.sent_bytes; });
  for (size_t i = most; i < heavy.size(); ++i) Close(heavy[i], "bytes");
}

void Connections::ForgetClosed() {
  closing_.erase(
      std::remove_if(closing_.begin(), closing_.end(), [](const Socket& socket) { return !socket.IsOpen(); }),
      closing_.end());
}

bool Connections::Crowded() {
  MutexLock lock(&mutex_);
  if (closing_.size() >= kMostClosing) ForgetClosed();
  return closing_.size() >= kMostClosing;
}

void Connections::Forget() {
  MutexLock lock(&mutex_);
  ForgetClosed();
  for (auto at = connections_.begin(); at != connections_.end();) {
    if (at->second.socket.IsOpen()) {
      ++at;
      continue;
    }
    Befriend(at);
    at = connections_.erase(at);
  }
}

void Connections::Close(Map::iterator connection, const char* reason) {
  const Socket socket = connection->second.socket;
  if (socket.IsOpen()) {
    // gRPC, whose socket it is, sees the end of the stream and closes it, which the peer is told by a reset: what it
    // has yet to send would otherwise wait for ever.
    const linger reset{.l_onoff = 1, .l_linger = 0};
    setsockopt(socket.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    shutdown(socket.fd, SHUT_RDWR);
    // What has come already is thrown away: gRPC would read it all first.
    while (recv(socket.fd, nullptr, kMostReceived, MSG_TRUNC | MSG_DONTWAIT) > 0) {
    }
    closing_.push_back(socket);
  }
  metrics_->ClosedStranger(reason).Increment();
  Befriend(connection);
  connections_.erase(connection);
}

void Connections::CloseFree(absl::FunctionRef<bool(std::string_view peer)> busy) {
  MutexLock lock(&mutex_);
  for (const auto& [peer, connection] : connections_) {
    if (!busy(peer) && connection.socket.IsOpen() && HasSent(connection.socket.fd))
      shutdown(connection.socket.fd, SHUT_RDWR);
  }
}

bool Connections::AllSent() const {
  MutexLock lock(&mutex_);
  return std::all_of(connections_.begin(), connections_.end(), [](const auto& entry) {
    return !entry.second.socket.IsOpen() || HasSent(entry.second.socket.fd);
  });
}

void Connections::CloseAll(absl::FunctionRef<bool()> wait) {
  while (!AllSent() && wait()) absl::SleepFor(absl::Milliseconds(5));
  MutexLock lock(&mutex_);
  for (const auto& [peer, connection] : connections_) {
    if (connection.socket.IsOpen()) shutdown(connection.socket.fd, SHUT_RDWR);
  }
}

size_t Connections::size() const {
  MutexLock lock(&mutex_);
  return connections_.size() + closing_.size();
}

absl::Duration Connections::look_interval() const {
  MutexLock lock(&mutex_);
  return look_interval_;
}

}  // namespace bebr
