#include "tests/integration/link.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>

#include "absl/cleanup/cleanup.h"

namespace bebr::testing {
namespace {

constexpr int kLookMs = 20;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// A socket that no child process takes along.
int NewSocket(int family) { return socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0); }

bool Readable(int socket) {
  pollfd wanted{.fd = socket, .events = POLLIN, .revents = 0};
  return poll(&wanted, 1, kLookMs) > 0;
}

}  // namespace

Link::Link(std::string target) : target_(std::move(target)) {
  listener_ = NewSocket(AF_INET);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(listener_, 64), 0);
  EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

Link::~Link() {
  ending_ = true;
  acceptor_.join();
  close(listener_);
  Mend(/*lose_connections=*/true);
  while (carriers_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(kLookMs));
}

Link::Connection::~Connection() {
  close(client);
  close(server);
}

std::string Link::address() const { return "127.0.0.1:" + std::to_string(port_); }

void Link::Mend(bool lose_connections) {
  MutexLock lock(&mutex_);
  for (const auto& weak : connections_) {
    const std::shared_ptr<Connection> connection = weak.lock();
    if (connection == nullptr || !lose_connections) continue;
    shutdown(connection->client, SHUT_RDWR);
    shutdown(connection->server, SHUT_RDWR);
  }
  cut_ = LinkCut::kNothing;
}

int Link::Connect() const {
  const size_t colon = target_.rfind(':');
  int socket = -1, rc = 0;
  if (target_[0] == '/') {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, target_.c_str(), sizeof(address.sun_path) - 1);
    socket = NewSocket(AF_UNIX);
    rc = connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  } else {
    const sockaddr_in address = Loopback(std::stoi(target_.substr(colon + 1)));
    socket = NewSocket(AF_INET);
    rc = connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  if (rc == 0) return socket;
  close(socket);
  return -1;
}

void Link::Accept() {
  while (!ending_) {
    if (!Readable(listener_)) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    const int server = Connect();
    if (server < 0) {
      close(client);  // nobody is there
      continue;
    }
    const int at_once = 1;
    for (const int socket : {client, server}) setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
    MutexLock lock(&mutex_);
    const auto connection = std::make_shared<Connection>(client, server);
    connections_.push_back(connection);
    carriers_ += 2;
    // Threads that are gone are not kept: a network under test makes thousands.
    std::thread([this, connection] { Carry(connection->client, connection->server, LinkCut::kCalls); }).detach();
    std::thread([this, connection] { Carry(connection->server, connection->client, LinkCut::kAnswers); }).detach();
  }
}

void Link::Carry(int from, int to, LinkCut direction) {
  const absl::Cleanup end = [this] { --carriers_; };
  char buffer[65536];
  while (!ending_) {
    const LinkCut cut = cut_;
    if (cut == direction || cut == LinkCut::kBoth) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kLookMs));
      continue;
    }
    if (!Readable(from)) continue;
    const ssize_t got = recv(from, buffer, sizeof(buffer), 0);
    ssize_t sent = 0;
    while (got > sent) {
      const ssize_t more = send(to, buffer + sent, static_cast<size_t>(got - sent), MSG_NOSIGNAL);
      if (more <= 0) break;
      sent += more;
    }
    if (got > 0 && sent == got) continue;
    shutdown(from, SHUT_RDWR);
    shutdown(to, SHUT_RDWR);
    return;
  }
}

}  // namespace bebr::testing
