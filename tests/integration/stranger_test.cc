// What one caller does to all others: answers that it does not read, bodies that do not end, texts as long as a
// message.
#include <chrono>
#include <regex>
#include <thread>

#include "bebr/v1/documents.pb.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/raw_connection.h"
#include "tests/integration/tls_fixture.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr int kWaits = 600;  // of 100 ms

// An HTTP/2 connection with a receive window of 0 bytes, which takes no answer.
class StuckConnection {
 public:
  explicit StuckConnection(const std::string& address) : connection_(address) {
    EXPECT_TRUE(connection_.Send(kPreface + Frame(4, 0, 0, std::string("\x00\x04\x00\x00\x00\x00", 6))));
  }
  void Begin(const std::string& path, const std::string& key) {
    stream_ += 2;
    EXPECT_TRUE(
        connection_.Send(Frame(1, 4, stream_, CallHeaders(path) + HeaderField("authorization", "Bearer " + key))));
  }
  // Of the call that was begun last. At most 60 kB on a connection.
  void Message(const std::string& message) {
    constexpr size_t kFrame = 16384;
    std::string data(1, '\0');
    for (const int shift : {24, 16, 8, 0}) data += static_cast<char>(message.size() >> shift & 0xff);
    data += message;
    for (size_t at = 0; at < data.size(); at += kFrame)
      EXPECT_TRUE(connection_.Send(Frame(0, 0, stream_, data.substr(at, kFrame))));
  }

 private:
  RawConnection connection_;
  uint32_t stream_ = static_cast<uint32_t>(-1);
};

class StrangerTest : public TlsTest {
 protected:
  // `limits`: more of the configuration, each with a comma before it.
  void StartWithKeys(const std::string& limits = "") {
    WriteKeys("admin-key", ",{\"name\": \"other\", \"role\": \"write\", \"collections\": [\"d\"], \"sha256\": \"" +
                               Sha256Of("other-key") + "\"}");
    Configure(limits);
    Start({"--config", Path("config.json")});
    admin_ = With("admin-key");
    v1::CollectionConfig config;
    config.set_name("c");
    ASSERT_TRUE(admin_->CreateCollection(config, ModelFile()).ok());
  }
  void Configure(const std::string& limits) {
    WriteFile("config.json", "{\"keys_file\": \"" + Path("keys.json") + "\"" + limits + "}");
  }
  std::unique_ptr<Client> With(const std::string& key) const {
    return std::make_unique<Client>(
        ClientOptions{.server = server_->address(), .deadline = absl::Seconds(60), .api_key = key});
  }
  static absl::Status Search(Client& client) { return client.Search(MakeSearch("c", VectorOf(1), 3)).status(); }
  // Of a sample whose line begins so; 0 if it is not there.
  double Metric(const std::string& sample) const {
    const std::string text = server_->HttpGet("/metrics");
    const size_t at = text.find("\n" + sample);
    return at == std::string::npos ? 0 : std::stod(text.substr(text.find(' ', at + 1)));
  }
  double Pending() const { return Metric("bebr_pending_response_bytes"); }

  std::unique_ptr<Client> admin_;
};

TEST_F(StrangerTest, StreamsThatAreNotReadAreCountedSharedAndCutOff) {
  const std::string limits = ", \"max_pending_response_bytes\": " + std::to_string(8 * kMiB);
  StartWithKeys(limits + ", \"response_timeout_s\": 600");
  v1::UpsertRequest upsert = MakeUpsert("c", 0, 20);
  for (auto& document : *upsert.mutable_documents())
    (*document.mutable_attributes())["text"].set_string_value(std::string(100000, 'x'));
  ASSERT_TRUE(admin_->Upsert(upsert).ok());
  const auto reader = With("reader-key");
  v1::StreamGetRequest get;
  get.set_collection("c");
  for (int i = 0; i < 20; ++i) get.add_ids(std::to_string(i));
  StuckConnection stuck(server_->address());
  absl::Status refused;
  for (int calls = 1; refused.ok() && calls < 20; ++calls) {
    stuck.Begin("/bebr.v1.DocumentService/StreamGet", "reader-key");
    stuck.Message(get.SerializeAsString());
    for (int i = 0; i < kWaits && Pending() < 2e6 * calls; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    ASSERT_GE(Pending(), 2e6 * calls);
    refused = Search(*reader);
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("answers to key \"read\" wait to be read, and its share is"));
  EXPECT_LE(Pending(), 8 * kMiB);
  EXPECT_TRUE(Search(*admin_).ok()) << Search(*admin_);
  Configure(limits + ", \"response_timeout_s\": 1");
  ReloadKeys("configuration read again");
  for (int i = 0; i < kWaits && Pending() > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(Pending(), 0);
  EXPECT_GE(Metric("bebr_slow_readers_total"), 1);
  EXPECT_TRUE(Search(*reader).ok()) << Search(*reader);
}

TEST_F(StrangerTest, AcknowledgementsThatAreNotReadAreCounted) {
  StartWithKeys(", \"max_pending_response_bytes\": " + std::to_string(8 * kMiB) + ", \"response_timeout_s\": 600");
  v1::StreamUpsertRequest empty;  // 20 kB, of which each document is refused
  empty.set_collection("c");
  empty.mutable_options()->set_partial(true);
  for (int i = 0; i < 10000; ++i) empty.add_documents();
  const auto writer = With("writer-key");
  std::vector<std::unique_ptr<StuckConnection>> stuck;
  absl::Status refused;
  for (int i = 0; refused.ok() && i < kWaits; ++i) {
    if (stuck.size() < 40) {
      stuck.push_back(std::make_unique<StuckConnection>(server_->address()));
      stuck.back()->Begin("/bebr.v1.DocumentService/StreamUpsert", "writer-key");
      for (int j = 0; j < 3; ++j) stuck.back()->Message(empty.SerializeAsString());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    refused = Search(*writer);
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("max_pending_response_bytes"));
}

TEST_F(StrangerTest, WhatIsSaidOfACallIsShortHoweverLongItsTexts) {
  StartWithKeys();
  v1::DeleteRequest deletion;
  deletion.set_collection("c");
  deletion.add_ids(std::string(2 * kMiB, '\x01'));
  EXPECT_EQ(With("writer-key")->Delete(deletion).status().code(), absl::StatusCode::kInvalidArgument);
  // Each message of a stream that is denied is in the audit.
  v1::StreamUpsertRequest denied;
  denied.set_collection("c");
  const auto channel = OwnConnection(server_->address());
  const RawAnswer stream =
      CallRaw(channel, "/bebr.v1.DocumentService/StreamUpsert",
              {denied.SerializeAsString(), denied.SerializeAsString(), denied.SerializeAsString()}, "other-key");
  ASSERT_EQ(stream.messages.size(), 3u);
  std::string log = server_->AwaitLog("StreamUpsert");
  const std::regex line("method=StreamUpsert collection=c key=other[^\n]*result=denied");
  const auto lines = [&] {
    return std::distance(std::sregex_iterator(log.begin(), log.end(), line), std::sregex_iterator());
  };
  for (int i = 0; i < 300 && lines() < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    log = server_->AwaitLog("StreamUpsert");
  }
  EXPECT_THAT(log, HasSubstr("1 ids from"));
  EXPECT_EQ(lines(), 3);
  EXPECT_LT(log.size(), 20000u);

  grpc::reflection::v1::ServerReflectionRequest reflection;
  reflection.set_host(std::string(kMiB, 'x'));
  reflection.set_list_services("");
  const RawAnswer refused = CallRaw(channel, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                    {reflection.SerializeAsString()}, "reader-key");
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(refused.messages.empty());
}

TEST_F(StrangerTest, HeadersThatReadInTwoWaysAreRefused) {
  Start();
  for (const char* header : {"Content-Length : 0", "Transfer-Encoding : chunked", "X\tY: 1", "A b: 1"}) {
    const RawConnection connection(server_->http_address());
    ASSERT_TRUE(connection.Send(std::string("GET /healthz HTTP/1.1\r\nHost: x\r\n") + header + "\r\n\r\n"));
    EXPECT_THAT(connection.ReadUntil("\r\n", 60000), HasSubstr("400")) << header;
  }
  EXPECT_THAT(server_->HttpGet("/healthz"), HasSubstr("200 OK"));
}

TEST_F(StrangerTest, ARequestThatNeverEndsIsCutOffThoughItIsNeverSilent) {
  Start();
  const RawConnection slow(server_->http_address());
  ASSERT_TRUE(slow.Send("GET /healthz HTTP/1.1\r\nX-Long: "));
  bool closed = false;
  for (int i = 0; i < kWaits && !closed; ++i) {
    slow.Send("a");
    closed = slow.ClosedWithin(100);
  }
  EXPECT_TRUE(closed);
  EXPECT_THAT(server_->HttpGet("/healthz"), HasSubstr("200 OK"));
}

}  // namespace
}  // namespace bebr::testing
