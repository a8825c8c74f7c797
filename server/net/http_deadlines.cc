#include "server/net/http_deadlines.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <tuple>

#include "absl/time/time.h"

namespace bebr {
namespace {

constexpr absl::Duration kLookInterval = absl::Seconds(1);
constexpr absl::Duration kTimeToAsk = absl::Seconds(1);  // who has just come is not idle

// The network that one host has: an IPv4 address, or the first 64 bits of another one.
std::string HostOf(const sockaddr* address) {
  if (address == nullptr) return "";
  if (address->sa_family == AF_INET) {
    return {reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in*>(address)->sin_addr), 4};
  }
  if (address->sa_family != AF_INET6) return "";
  const in6_addr& bytes = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  const auto* text = reinterpret_cast<const char*>(&bytes);
  return IN6_IS_ADDR_V4MAPPED(&bytes) ? std::string(text + 12, 4) : std::string(text, 8);
}

}  // namespace

HttpDeadlines::~HttpDeadlines() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  stop_.NotifyAll();
  thread_.join();
}

void HttpDeadlines::Notify(void* self, MHD_Connection* connection, void**, MHD_ConnectionNotificationCode code) {
  auto* deadlines = static_cast<HttpDeadlines*>(self);
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  const MHD_ConnectionInfo* client = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  MutexLock lock(&deadlines->mutex_);
  if (code == MHD_CONNECTION_NOTIFY_CLOSED || info == nullptr) {
    deadlines->open_.erase(connection);
  } else {
    const SteadyTime now = SteadyNow();
    deadlines->open_[connection] = {.fd = info->connect_fd,
                                    .host = HostOf(client == nullptr ? nullptr : client->client_addr),
                                    .since = now,
                                    .deadline = now + kHead};
    deadlines->MakeRoom(connection, now);
  }
}

void HttpDeadlines::Close(Open& open) {
  open.deadline = absl::InfiniteDuration();
  open.closing = true;
  shutdown(open.fd, SHUT_RDWR);  // which the daemon takes for the client's end
}

void HttpDeadlines::MakeRoom(const MHD_Connection* besides, SteadyTime now) {
  if (open_.size() <= most_) return;
  absl::flat_hash_map<std::string_view, size_t> of_host;
  size_t staying = 0;
  for (const auto& [connection, open] : open_) {
    if (open.closing) continue;
    ++of_host[open.host];
    ++staying;
  }
  if (staying <= most_) return;
  Open* first = nullptr;
  std::tuple<bool, size_t, absl::Duration> best;
  for (auto& [connection, open] : open_) {
    if (open.closing || connection == besides) continue;
    const absl::Duration age = now - open.since;
    const std::tuple weight(!open.busy && age > kTimeToAsk, of_host[open.host], age);
    if (first != nullptr && weight <= best) continue;
    first = &open;
    best = weight;
  }
  if (first != nullptr) Close(*first);
}

void HttpDeadlines::Set(MHD_Connection* connection, SteadyTime deadline, bool busy) {
  MutexLock lock(&mutex_);
  const auto found = open_.find(connection);
  if (found == open_.end() || found->second.closing) return;
  found->second.deadline = deadline;
  found->second.busy = busy;
}

void HttpDeadlines::Run() {
  MutexLock lock(&mutex_);
  while (!stopping_) {
    const SteadyTime now = SteadyNow();
    // With the lock: the daemon tells of the end of a connection before it closes the socket.
    for (auto& [connection, open] : open_) {
      if (open.deadline <= now) Close(open);
    }
    stop_.WaitFor(&mutex_, kLookInterval);
  }
}

}  // namespace bebr
