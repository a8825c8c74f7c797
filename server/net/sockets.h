// Sockets and their addresses.
#ifndef BEBR_SERVER_NET_SOCKETS_H_
#define BEBR_SERVER_NET_SOCKETS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace bebr {

// Closes a file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor();
  int get() const { return fd_; }
  // Leaves it to the caller to close it.
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// Sockets that listen, without blocking, on all addresses that HOST:PORT stands for; port 0 takes a free one, the same
// for all.
struct ListeningSockets {
  std::vector<Descriptor> sockets;  // at least one
  int port = 0;
};

// UNAVAILABLE, with `option` and the reason, if the address cannot be listened on.
absl::StatusOr<ListeningSockets> ListenOn(const std::string& option, const std::string& address);

}  // namespace bebr

#endif  // BEBR_SERVER_NET_SOCKETS_H_
