// A network between two processes that can be cut.
#ifndef BEBR_TESTS_INTEGRATION_LINK_H_
#define BEBR_TESTS_INTEGRATION_LINK_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "index/base/mutex.h"

namespace bebr::testing {

// What of a Link's two directions does not arrive.
enum class LinkCut { kNothing, kCalls, kAnswers, kBoth };

// A Link is a port of 127.0.0.1 whose connections lead to another server's. While it is cut nothing arrives, as where a
// network loses everything: connections stay open, and new ones can be made. Thread safety: any thread.
class Link {
 public:
  // To "127.0.0.1:PORT", or the path of a Unix socket.
  explicit Link(std::string target);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  int port() const { return port_; }
  std::string address() const;
  void Cut(LinkCut cut) { cut_ = cut; }
  // What was held back arrives late; or the connections are lost with it.
  void Mend(bool lose_connections);

 private:
  // Closed when neither direction is carried any more.
  struct Connection {
    Connection(int of_client, int of_server) : client(of_client), server(of_server) {}
    ~Connection();
    const int client, server;
  };

  void Accept();
  // Carries bytes from one socket to the other until one of them is closed.
  void Carry(int from, int to, LinkCut direction);
  int Connect() const;

  const std::string target_;
  int listener_ = -1, port_ = 0;
  std::atomic<LinkCut> cut_{LinkCut::kNothing};
  std::atomic<bool> ending_{false};
  std::atomic<int> carriers_{0};
  Mutex mutex_;
  std::vector<std::weak_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_INTEGRATION_LINK_H_
