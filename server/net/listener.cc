#include "server/net/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "index/base/clock.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "server/net/sockets.h"

namespace bebr {
namespace {

constexpr absl::Duration kCrowdedInterval = absl::Milliseconds(5);
constexpr int kAcceptedAtOnce = 8;  // before it is asked whether they are too many

class ThreadListener final : public Listener {
 public:
  ThreadListener(ListeningSockets listening, size_t max_connections, const CallLimits& max_calls, Metrics* metrics)
      : listening_(std::move(listening)), metrics_(metrics), connections_(max_connections, max_calls, metrics) {}
  ~ThreadListener() override { Stop(); }

  void Stop() override {
    const uint64_t one = 1;
    // An eventfd takes it unless it is full, and then it is readable anyway.
    [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof(one));
    if (acceptor_.joinable()) acceptor_.join();  // one that works for a stranger is freed by the looker
    [[maybe_unused]] const ssize_t ended = write(stop_looking_.get(), &one, sizeof(one));
    if (looker_.joinable()) looker_.join();
    listening_.sockets.clear();
  }
  void CloseFree(absl::FunctionRef<bool(std::string_view peer)> has_call) override { connections_.CloseFree(has_call); }
  void CloseAll(absl::FunctionRef<bool()> wait) override { connections_.CloseAll(wait); }

  int port() const override { return listening_.port; }
  void Start(Take take) override {
    take_ = std::move(take);
    looker_ = std::thread([this] { LookAtAll(); });
    acceptor_ = std::thread([this] { Accept(); });
  }
  void Known(std::string_view peer) override { connections_.Known(peer); }
  void Greeted(std::string_view peer) override { connections_.Greeted(peer, SteadyNow()); }
  void Begun(std::string_view peer) override { connections_.Begun(peer); }
  void Ended(std::string_view peer) override { connections_.Ended(peer); }
  void ReadAhead(int fd) override { connections_.ReadAhead(fd); }

 private:
  // Whether it may go on once a time is over, or something of `polled` is to be done; the first says that it may not.
  static bool Wait(std::vector<pollfd>& polled, size_t count, absl::Duration most) {
    poll(polled.data(), count, static_cast<int>(absl::ToInt64Milliseconds(most)));
    return polled[0].revents == 0;
  }

  // gRPC begins to read a connection on the thread that hands it over, and goes on while more comes: so this is
  // another.
  void LookAtAll() {
    std::vector<pollfd> polled = {{stop_looking_.get(), POLLIN, 0}};
    SteadyTime next_forget = -absl::InfiniteDuration();
    while (Wait(polled, 1, connections_.look_interval())) {
      const SteadyTime now = SteadyNow();
      connections_.Look(now);
      if (now >= next_forget) {
        connections_.Forget();
        next_forget = now + Connections::kForgetInterval;
      }
      metrics_->connections().Set(static_cast<double>(connections_.size()));
    }
  }

  void Accept() {
    std::vector<pollfd> polled = {{stop_.get(), POLLIN, 0}};
    for (const Descriptor& socket : listening_.sockets) polled.push_back({socket.get(), POLLIN, 0});
    for (;;) {
      // Those that come meanwhile wait: the system keeps them.
      const bool crowded = connections_.Crowded();
      if (!Wait(polled, crowded ? 1 : polled.size(), crowded ? kCrowdedInterval : Connections::kForgetInterval)) return;
      if (!crowded) AcceptSome();
    }
  }

  void AcceptSome() {
    for (const Descriptor& socket : listening_.sockets) AcceptSome(socket.get());
  }

  void AcceptSome(int socket) {
    for (int i = 0; i < kAcceptedAtOnce; ++i) {
      sockaddr_storage address{};
      socklen_t size = sizeof(address);
      const int fd = accept4(socket, reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EAGAIN) return;
        LogError("a connection cannot be accepted: {}; those that wait are tried again", std::strerror(errno));
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        return;
      }
      if (!connections_.Add(fd, address, SteadyNow())) {
        close(fd);
        metrics_->refused_connections().Increment();
        continue;
      }
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      take_(fd);
    }
  }

  ListeningSockets listening_;
  Metrics* const metrics_;
  Connections connections_;
  const Descriptor stop_{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  const Descriptor stop_looking_{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  Take take_;
  std::thread acceptor_;
  std::thread looker_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Create(const std::string& address, size_t max_connections,
                                                           const CallLimits& max_calls, Metrics* metrics) {
  BEBR_ASSIGN_OR_RETURN(ListeningSockets listening, ListenOn("listen", address));
  return std::make_unique<ThreadListener>(std::move(listening), max_connections, max_calls, metrics);
}

}  // namespace bebr
