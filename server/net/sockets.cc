#include "server/net/sockets.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <set>

#include "absl/strings/str_format.h"

namespace bebr {
namespace {

int PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

void SetPort(sockaddr* address, int port) {
  const auto number = htons(static_cast<uint16_t>(port));
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = number;
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = number;
  }
}

// Adds a socket; returns 0, or the errno of what failed.
int Listen(addrinfo* at, ListeningSockets& out) {
  if (out.port != 0) SetPort(at->ai_addr, out.port);  // several addresses of one name share the port
  Descriptor socket(::socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return errno;
  const int on = 1, off = 0;
  // A port in TIME_WAIT may be taken again; one that another server listens on may not.
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (at->ai_family == AF_INET6) setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  if (bind(socket.get(), at->ai_addr, at->ai_addrlen) != 0 || listen(socket.get(), SOMAXCONN) != 0) return errno;
  if (out.port == 0) out.port = PortOf(socket.get());
  out.sockets.push_back(std::move(socket));
  return 0;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<ListeningSockets> ListenOn(const std::string& option, const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  const std::string port = address.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return absl::UnavailableError(absl::StrFormat("%s \"%s\": %s", option, address, gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  ListeningSockets out;
  int error = 0;
  std::set<std::string> seen;  // a name may stand for one address twice
  for (addrinfo* at = found; at != nullptr; at = at->ai_next) {
    if (!seen.emplace(reinterpret_cast<const char*>(at->ai_addr), at->ai_addrlen).second) continue;
    // A name with an address of a kind that this machine does not have is served on the others.
    if (const int failed = Listen(at, out); failed != 0) error = failed;
    if (error == EADDRINUSE) break;
  }
  if (error != EADDRINUSE && !out.sockets.empty()) return out;
  return absl::UnavailableError(absl::StrFormat("%s \"%s\" cannot be listened on: %s. Another address: --%s HOST:PORT",
                                                option, address, std::strerror(error), option));
}

}  // namespace bebr
