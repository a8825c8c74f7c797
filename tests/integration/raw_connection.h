// TCP connections that know nothing of gRPC, and HTTP/2 made by hand.
#ifndef BEBR_TESTS_INTEGRATION_RAW_CONNECTION_H_
#define BEBR_TESTS_INTEGRATION_RAW_CONNECTION_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace bebr::testing {

class RawConnection {
 public:
  // To 127.0.0.1 (or the host given) and the port of HOST:PORT.
  explicit RawConnection(const std::string& address);
  RawConnection(RawConnection&& other) noexcept;
  ~RawConnection();
  bool connected() const { return connected_; }
  // False once the server has closed the connection.
  bool Send(std::string_view bytes) const;
  // Drops what the server has sent by now.
  void Drop() const;
  // Whether the server closes the connection within `timeout_ms`; what it sends until then is dropped.
  bool ClosedWithin(int timeout_ms) const;
  // What the server sends within `timeout_ms`, until it holds `part` or ends.
  std::string ReadUntil(std::string_view part, int timeout_ms) const;

 private:
  int fd_;
  bool connected_ = false;
};

inline const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// A frame with a length of its own choice, or its payload's.
std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload, uint32_t length);
std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload);
inline const std::string kSettings = Frame(4, 0, 0, "");

// A length of HPACK, with a prefix of 7 bits.
std::string HpackLength(uint64_t length);
// A header by HPACK without table and Huffman: literal field, name, value.
std::string HeaderField(const std::string& name, const std::string& value);
// The headers of a call.
std::string CallHeaders(const std::string& path);

}  // namespace bebr::testing

#endif  // BEBR_TESTS_INTEGRATION_RAW_CONNECTION_H_
