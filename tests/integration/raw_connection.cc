#include "tests/integration/raw_connection.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <utility>

namespace bebr::testing {

RawConnection::RawConnection(const std::string& address) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = fd_ >= 0 && connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
}

RawConnection::RawConnection(RawConnection&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), connected_(std::exchange(other.connected_, false)) {}

RawConnection::~RawConnection() {
  if (fd_ >= 0) close(fd_);
}

bool RawConnection::Send(std::string_view bytes) const {
  return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

void RawConnection::Drop() const {
  char buffer[4096];
  while (recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT) > 0) {
  }
}

bool RawConnection::ClosedWithin(int timeout_ms) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  char buffer[4096];
  while (std::chrono::steady_clock::now() < deadline) {
    pollfd polled{fd_, POLLIN, 0};
    if (poll(&polled, 1, 100) > 0 && recv(fd_, buffer, sizeof(buffer), 0) <= 0) return true;
  }
  return false;
}

std::string RawConnection::ReadUntil(std::string_view part, int timeout_ms) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  std::string text;
  char buffer[4096];
  while (text.find(part) == std::string::npos && std::chrono::steady_clock::now() < deadline) {
    pollfd polled{fd_, POLLIN, 0};
    if (poll(&polled, 1, 100) <= 0) continue;
    const ssize_t got = recv(fd_, buffer, sizeof(buffer), 0);
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload, uint32_t length) {
  std::string frame;
  for (const int shift : {16, 8, 0}) frame += static_cast<char>(length >> shift & 0xff);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) frame += static_cast<char>(stream >> shift & 0xff);
  return frame + payload;
}

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  return Frame(type, flags, stream, payload, static_cast<uint32_t>(payload.size()));
}

std::string HpackLength(uint64_t length) {
  if (length < 127) return std::string(1, static_cast<char>(length));
  std::string text = "\x7f";
  uint64_t rest = length - 127;
  for (; rest >= 128; rest >>= 7) text += static_cast<char>(rest % 128 + 128);
  return text + static_cast<char>(rest);
}

std::string HeaderField(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + HpackLength(name.size()) + name + HpackLength(value.size()) + value;
}

std::string CallHeaders(const std::string& path) {
  return HeaderField(":method", "POST") + HeaderField(":scheme", "http") + HeaderField(":authority", "x") +
         HeaderField(":path", path) + HeaderField("te", "trailers") + HeaderField("content-type", "application/grpc");
}

}  // namespace bebr::testing
