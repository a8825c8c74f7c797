// Clients that ask and never take their answers: the queries of others go on, and their answers stay the same.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <regex>
#include <thread>

#include "absl/strings/numbers.h"
#include "tests/integration/fixture.h"

namespace bebr::testing {
namespace {

constexpr size_t kDocuments = 3000;
constexpr uint32_t kResults = 2000;  // an answer of some 50 KB
constexpr int kConnections = 16;
constexpr int kQueriesEach = 16;

// An HTTP/2 connection written by hand, with a receive window of 0 bytes: the server may send it no answer. It never
// reads, either.
class StuckConnection {
 public:
  explicit StuckConnection(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    std::string hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const std::string no_window("\x00\x04\x00\x00\x00\x00", 6);  // SETTINGS_INITIAL_WINDOW_SIZE = 0
    hello += Frame(4, 0, 0, no_window);
    Send(hello);
  }
  ~StuckConnection() { close(fd_); }
  StuckConnection(const StuckConnection&) = delete;
  StuckConnection& operator=(const StuckConnection&) = delete;
  bool connected() const { return connected_; }

  void Ask(const v1::SearchRequest& request) {
    // HPACK without Huffman codes or a dynamic table; static names by their numbers.
    std::string headers = "\x83\x86";  // :method POST, :scheme http
    headers += std::string("\x04", 1) + Text("/bebr.v1.SearchService/Search");
    headers += std::string("\x01", 1) + Text("localhost");
    headers += std::string("\x0f\x10", 2) + Text("application/grpc");
    headers += std::string(1, '\0') + Text("te") + Text("trailers");
    const std::string message = request.SerializeAsString();
    const std::string data = std::string(1, '\0') + BigEndian(message.size(), 4) + message;
    Send(Frame(1, 4, stream_, headers) + Frame(0, 1, stream_, data));
    stream_ += 2;
  }

 private:
  static std::string BigEndian(size_t value, int bytes) {
    std::string text;
    for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
    return text;
  }
  static std::string Text(const std::string& text) { return static_cast<char>(text.size()) + text; }
  static std::string Frame(int type, int flags, uint32_t stream, const std::string& payload) {
    return BigEndian(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) + BigEndian(stream, 4) +
           payload;
  }
  void Send(const std::string& bytes) {
    ASSERT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }

  int fd_;
  bool connected_ = false;
  uint32_t stream_ = 1;
};

class StuckClientTest : public ServerTest {
 protected:
  std::string Answer(size_t query) {
    const auto response = client_->Search(MakeSearch("c", VectorOf(query), kResults));
    EXPECT_TRUE(response.ok()) << response.status();
    std::string text;
    for (int i = 0; response.ok() && i < response->hits_size(); ++i) {
      text += response->hits(i).id() + " " + std::to_string(response->hits(i).score()) + "\n";
    }
    return text;
  }
  uint64_t QueriesSoFar() {
    const std::string metrics = server_->HttpGet("/metrics");
    std::smatch match;
    uint64_t queries = 0;
    if (std::regex_search(metrics, match, std::regex("\nbebr_queries_total ([0-9]+)"))) {
      EXPECT_TRUE(absl::SimpleAtoi(match[1].str(), &queries));
    }
    return queries;
  }
};

TEST_F(StuckClientTest, OthersAreAnswered) {
  Start();
  CreateCollection(v1::FLOAT_STORAGE_NONE);
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, kDocuments)).ok());
  std::vector<std::string> before;
  for (size_t query = 0; query < 5; ++query) before.push_back(Answer(query));
  ASSERT_NE(before[0].find('\n'), std::string::npos);

  const int port = std::stoi(server_->address().substr(server_->address().rfind(':') + 1));
  std::vector<std::unique_ptr<StuckConnection>> stuck;
  for (int i = 0; i < kConnections; ++i) {
    stuck.push_back(std::make_unique<StuckConnection>(port));
    ASSERT_TRUE(stuck.back()->connected());
    for (int j = 0; j < kQueriesEach; ++j)
      ASSERT_NO_FATAL_FAILURE(stuck.back()->Ask(MakeSearch("c", VectorOf(j), kResults)));
  }
  // The server has taken and scanned them all, so that their answers are what is stuck.
  constexpr uint64_t kAsked = 5 + kConnections * kQueriesEach;
  for (int i = 0; i < 600 && QueriesSoFar() < kAsked; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_EQ(QueriesSoFar(), kAsked);

  for (size_t query = 0; query < before.size(); ++query) EXPECT_EQ(Answer(query), before[query]);
  EXPECT_TRUE(client_->Upsert(MakeUpsert("c", kDocuments, 10)).ok());
}

}  // namespace
}  // namespace bebr::testing
