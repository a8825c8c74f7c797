#include "server/net/listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/logging.h"

namespace bebr {
namespace {

constexpr absl::Duration kPruneInterval = absl::Milliseconds(500);

// Closes a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// A connection that was handed over. Its number alone does not tell whether it is still open: the number may have been
// given to another file meanwhile, but not the socket's inode with it.
struct Connection {
  int fd;
  ino_t inode;

  bool open() const {
    struct stat info;
    return fstat(fd, &info) == 0 && info.st_ino == inode;
  }
};

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

class ThreadListener final : public Listener {
 public:
  ThreadListener(size_t max_connections, Metrics* metrics) : max_connections_(max_connections), metrics_(metrics) {}
  ~ThreadListener() override {
    const uint64_t one = 1;
    // An eventfd takes it unless it is full, and then it is readable anyway.
    [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof(one));
    if (thread_.joinable()) thread_.join();
  }

  // Returns 0, or the errno of what failed.
  int Listen(addrinfo* at) {
    if (port_ != 0) SetPort(at->ai_addr, port_);  // several addresses of one name share the port
    Descriptor socket(::socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (socket.get() < 0) return errno;
    const int on = 1, off = 0;
    // A port in TIME_WAIT may be taken again; one that another server listens on may not.
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (at->ai_family == AF_INET6) setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(socket.get(), at->ai_addr, at->ai_addrlen) != 0 || listen(socket.get(), SOMAXCONN) != 0) return errno;
    if (port_ == 0) port_ = PortOf(socket.get());
    sockets_.push_back(std::move(socket));
    return 0;
  }

  bool listening() const { return !sockets_.empty(); }
  int port() const override { return port_; }
  void Start(Take take) override {
    take_ = std::move(take);
    thread_ = std::thread([this] { Run(); });
  }

 private:
  void Run() {
    std::vector<pollfd> polled = {{stop_.get(), POLLIN, 0}};
    for (const Descriptor& socket : sockets_) polled.push_back({socket.get(), POLLIN, 0});
    for (;;) {
      poll(polled.data(), polled.size(), /*timeout=*/1000);
      if (polled[0].revents != 0) return;
      Prune();
      for (const Descriptor& socket : sockets_) AcceptAll(socket.get());
      metrics_->connections().Set(static_cast<double>(connections_.size()));
    }
  }

  // Looking at all connections takes milliseconds when there are thousands.
  void Prune() {
    const absl::Time now = absl::Now();
    if (now < next_prune_) return;
    next_prune_ = now + kPruneInterval;
    std::erase_if(connections_, [](const Connection& connection) { return !connection.open(); });
  }

  void AcceptAll(int socket) {
    for (;;) {
      const int fd = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EAGAIN) return;
        LogError("a connection cannot be accepted: {}; those that wait are tried again", std::strerror(errno));
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        return;
      }
      if (connections_.size() >= max_connections_) {
        close(fd);
        metrics_->refused_connections().Increment();
        continue;
      }
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      struct stat info {};
      fstat(fd, &info);
      connections_.push_back({fd, info.st_ino});
      take_(fd);
    }
  }

  const size_t max_connections_;
  Metrics* const metrics_;
  int port_ = 0;
  std::vector<Descriptor> sockets_;
  const Descriptor stop_{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  Take take_;
  std::vector<Connection> connections_;  // of the thread
  absl::Time next_prune_ = absl::InfinitePast();
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Create(const std::string& address, size_t max_connections,
                                                           Metrics* metrics) {
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
    return absl::UnavailableError(absl::StrFormat("listen \"%s\": %s", address, gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  auto listener = std::make_unique<ThreadListener>(max_connections, metrics);
  int error = 0;
  std::set<std::string> seen;  // a name may stand for one address twice
  for (addrinfo* at = found; at != nullptr; at = at->ai_next) {
    if (!seen.emplace(reinterpret_cast<const char*>(at->ai_addr), at->ai_addrlen).second) continue;
    // A name with an address of a kind that this machine does not have is served on the others.
    if (const int failed = listener->Listen(at); failed != 0) error = failed;
    if (error == EADDRINUSE) break;
  }
  if (error != EADDRINUSE && listener->listening()) return listener;
  return absl::UnavailableError(absl::StrFormat(
      "listen \"%s\" cannot be listened on: %s. Another address: --listen HOST:PORT", address, std::strerror(error)));
}

}  // namespace bebr
