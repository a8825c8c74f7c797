// What reaches the port before anybody has shown a key: unknown methods, messages, streams, floods. The server answers
// by the right code, lives, and serves others all the while.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <thread>

#include "bebr/v1/documents.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/raw_connection.h"
#include "tests/integration/tls_fixture.h"
#include "tests/support/until.h"

namespace bebr::testing {
namespace {

using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kMiB = uint64_t{1} << 20;
const char* const kSearch = "/bebr.v1.SearchService/Search";

uint64_t PeakKib(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("VmHWM", 0) == 0) return std::stoull(line.substr(line.find_first_of("0123456789")));
  }
  return 0;
}

std::string Repeat(const std::string& text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

class DoorTest : public TlsTest {
 protected:
  void StartWithKeys(std::vector<std::string> flags = {}) {
    WriteKeys("admin-key");
    flags.insert(flags.end(), {"--keys_file", Path("keys.json")});
    Start(flags);
    admin_ = std::make_unique<Client>(
        ClientOptions{.server = server_->address(), .deadline = absl::Seconds(60), .api_key = "admin-key"});
    v1::CollectionConfig config;
    config.set_name("c");
    ASSERT_TRUE(admin_->CreateCollection(config, ModelFile()).ok());
    ASSERT_TRUE(admin_->Upsert(MakeUpsert("c", 0, 100)).ok());
  }
  absl::Status Search() { return admin_->Search(MakeSearch("c", VectorOf(1), 3)).status(); }
  std::shared_ptr<grpc::Channel> Channel() const { return OwnConnection(server_->address()); }
  // Of a method, by code; 0 if it is not there.
  double Handled(const std::string& method, const std::string& code) const {
    const std::string text = server_->HttpGet("/metrics");
    std::smatch match;
    const std::regex line("grpc_server_handled_total\\{grpc_code=\"" + code + "\",grpc_method=\"" + method +
                          "\"[^}]*\\} (\\S+)");
    return std::regex_search(text, match, line) ? std::stod(match[1]) : 0;
  }

  std::unique_ptr<Client> admin_;
};

TEST_F(DoorTest, UnknownMethodsAreUnimplemented) {
  for (const bool keys : {false, true}) {
    if (keys) {
      StartWithKeys();
    } else {
      Start();
    }
    for (const char* path : {"/some.Service/Method", "/grpc.health.v1.Health/Foo", "/bebr.v1.AdminService/NoSuch",
                             "/bebr.v1.SearchService/Search/", "/", "/x"}) {
      for (const std::string& key : {std::string(), std::string("admin-key")}) {
        for (const std::vector<std::string>& messages :
             {std::vector<std::string>{}, {""}, {"abc"}, std::vector<std::string>(20, std::string(10000, 'x'))}) {
          EXPECT_EQ(CallRaw(Channel(), path, messages, key).status.error_code(), grpc::StatusCode::UNIMPLEMENTED)
              << path;
        }
      }
      // Taken back at once, and left open by the client.
      { RawCall cancelled(server_->address(), path); }
      RawCall open(server_->address(), path);
      EXPECT_EQ(open.Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
    }
    EXPECT_TRUE(server_->Running());
    if (keys) {
      EXPECT_TRUE(Search().ok());
    }
    EXPECT_GE(Handled("other", "Unimplemented"), 50);
  }
}

TEST_F(DoorTest, CallsOfTheApiThatAreLeftOpenOrTakenBack) {
  StartWithKeys();
  for (const char* path : {kSearch, "/bebr.v1.DocumentService/Get", "/bebr.v1.DocumentService/StreamUpsert",
                           "/bebr.v1.CollectionService/AddVersion", "/grpc.health.v1.Health/Watch",
                           "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}) {
    { RawCall cancelled(server_->address(), path, "admin-key"); }
    RawCall without_message(server_->address(), path, "admin-key");
    without_message.WritesDone();
    const grpc::Status status = without_message.Finish();
    EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) << path;
    RawCall garbled(server_->address(), path, "admin-key");
    garbled.Write("\xff\xff\xff\xff\xff");
    { RawCall open(server_->address(), path, "admin-key"); }
  }
  EXPECT_EQ(CallRaw(Channel(), kSearch, {"\xff\xff\xff\xff"}, "admin-key").status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(Search().ok());
}

TEST_F(DoorTest, NothingOfAMessageIsReadBeforeTheKeyIsKnown) {
  StartWithKeys();
  const uint64_t before_kib = PeakKib(server_->pid());
  const std::string body = Repeat(std::string("\x12\x00", 2), 4 << 20);
  for (const char* path :
       {"/bebr.v1.DocumentService/Upsert", "/bebr.v1.SearchService/BatchSearch", "/bebr.v1.DocumentService/Delete"}) {
    // A stranger's connection may be cut for its bytes before the refusal is read.
    const auto is_refused = AnyOf(grpc::StatusCode::UNAUTHENTICATED, grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(CallRaw(Channel(), path, {body}).status.error_code(), is_refused);
    EXPECT_THAT(CallRaw(Channel(), path, {body}, "guess").status.error_code(), is_refused);
  }
  EXPECT_LT(PeakKib(server_->pid()) - before_kib, 16 * 1024u * kSanitizerMemory);
  // Of one who has a key the same is refused before it is taken apart.
  const grpc::Status refused = CallRaw(Channel(), "/bebr.v1.DocumentService/Upsert", {body}, "writer-key").status;
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("documents has more than 10000 entries"));
  // A field that nobody knows has no limit of its own.
  const std::string unknown = Repeat(std::string("\x7a\x00", 2), 4 << 20);
  const grpc::Status too_much = CallRaw(Channel(), "/bebr.v1.DocumentService/Upsert", {unknown}, "writer-key").status;
  EXPECT_EQ(too_much.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_LT(PeakKib(server_->pid()) - before_kib, 64 * 1024u * kSanitizerMemory);
  EXPECT_TRUE(Search().ok());
}

TEST_F(DoorTest, CompressedMessagesAreRefused) {
  StartWithKeys();
  const uint64_t before_kib = PeakKib(server_->pid());
  auto stub = v1::DocumentService::NewStub(Channel());
  v1::UpsertRequest request;
  request.set_collection(std::string(48 * kMiB, 'x'));  // of which gzip makes some kB
  v1::UpsertResponse response;
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer writer-key");
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  EXPECT_EQ(stub->Upsert(&context, request, &response).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_LT(PeakKib(server_->pid()) - before_kib, 16 * 1024u * kSanitizerMemory);
  EXPECT_TRUE(Search().ok());
}

TEST_F(DoorTest, RequestsShareABudget) {
  StartWithKeys({"--max_parsed_bytes", std::to_string(16 * kMiB)});
  v1::BatchSearchRequest request;
  request.set_collection("c");
  for (int i = 0; i < 1024; ++i) request.add_queries()->set_float16(std::string(20000, 'x'));
  const absl::Status too_large = admin_->BatchSearch(request).status();
  EXPECT_EQ(too_large.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(too_large.message()), HasSubstr("max_parsed_bytes"));
  EXPECT_TRUE(Search().ok());
}

TEST_F(DoorTest, StreamsWithoutAKeyEndBeforeTheirFirstMessage) {
  StartWithKeys();
  for (const char* path :
       {"/bebr.v1.DocumentService/StreamUpsert", "/bebr.v1.CollectionService/CreateCollection",
        "/bebr.v1.CollectionService/AddVersion", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}) {
    for (const char* key : {"", "guess"}) {
      RawCall silent(server_->address(), path, key);  // sends nothing, and does not end
      EXPECT_EQ(silent.Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED) << path;
    }
  }
  EXPECT_EQ(Handled("StreamUpsert", "Unauthenticated"), 2);
  EXPECT_EQ(Handled("StreamUpsert", "OK"), 0);
  EXPECT_EQ(Handled("CreateCollection", "Unauthenticated"), 2);
}

TEST_F(DoorTest, RefusalsAreLimitedByHost) {
  StartWithKeys();
  const auto channel = Channel();
  int unauthenticated = 0, exhausted = 0;
  for (int i = 0; i < 3000 && exhausted < 50; ++i) {
    const grpc::Status status = CallRaw(channel, kSearch, {}, "guess").status;
    unauthenticated += status.error_code() == grpc::StatusCode::UNAUTHENTICATED ? 1 : 0;
    if (status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED) continue;
    ++exhausted;
    google::rpc::Status details;
    ASSERT_TRUE(details.ParseFromString(status.error_details()));
    ASSERT_EQ(details.details_size(), 1);
    EXPECT_TRUE(details.details(0).Is<google::rpc::RetryInfo>());
  }
  EXPECT_GE(unauthenticated, 100);
  EXPECT_TRUE(Search().ok());  // from the same host, with a key
  const std::string log = server_->AwaitLog("audit");
  size_t lines = 0;
  for (size_t at = log.find("audit "); at != std::string::npos; at = log.find("audit ", at + 1)) ++lines;
  EXPECT_LE(lines, static_cast<size_t>(unauthenticated) + 10);
}

TEST_F(DoorTest, TextIsUtf8) {
  StartWithKeys();
  std::string request = MakeUpsert("c", 0, 3).SerializeAsString();
  const size_t at = request.find(
      "\x0a\x01"
      "2");  // the id of the third
  ASSERT_NE(at, std::string::npos);
  request[at + 2] = '\xff';
  const grpc::Status status = CallRaw(Channel(), "/bebr.v1.DocumentService/Upsert", {request}, "writer-key").status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "documents[2].id is not UTF-8");
  google::rpc::Status details;
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&bad));
  EXPECT_EQ(bad.field_violations(0).field(), "documents[2].id");
  // In a stream it refuses the message, and no more.
  RawCall stream(server_->address(), "/bebr.v1.DocumentService/StreamUpsert", "writer-key");
  v1::StreamUpsertRequest message;
  message.set_collection("c");
  message.set_sequence(7);
  *message.mutable_documents() = MakeDocuments(0, 3);
  std::string bytes = message.SerializeAsString();
  bytes[bytes.find("\x0a\x01"
                   "2") +
        2] = '\xff';
  std::string answer;
  v1::StreamUpsertResponse refused, written;
  ASSERT_TRUE(stream.Write(bytes) && stream.Read(&answer) && refused.ParseFromString(answer));
  EXPECT_EQ(refused.sequence(), 7u);
  EXPECT_EQ(refused.error_code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  ASSERT_TRUE(stream.Write(message.SerializeAsString()) && stream.Read(&answer) && written.ParseFromString(answer));
  EXPECT_EQ(written.error_code(), 0);
  EXPECT_EQ(written.documents(), 3u);
}

TEST_F(DoorTest, BothVersionsOfReflectionAndHealth) {
  StartWithKeys();
  for (const char* version : {"v1", "v1alpha"}) {
    const std::string path = std::string("/grpc.reflection.") + version + ".ServerReflection/ServerReflectionInfo";
    const RawAnswer answer = CallRaw(Channel(), path,
                                     {std::string("\x3a\x01*", 3),
                                      "\x22\x15"
                                      "bebr.v1.SearchService",
                                      std::string("\x22\x03"
                                                  "a.b",
                                                  5)},
                                     "reader-key");
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    ASSERT_EQ(answer.messages.size(), 3u);
    for (const char* service : {"bebr.v1.SearchService", "bebr.v1.AdminService", "grpc.health.v1.Health",
                                "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}) {
      EXPECT_THAT(answer.messages[0], HasSubstr(service));
    }
    EXPECT_THAT(answer.messages[1], HasSubstr("bebr/v1/types.proto"));
    EXPECT_THAT(answer.messages[2], HasSubstr("no such file or symbol"));
  }
  // Probes have no key.
  const std::string serving("\x08\x01", 2);
  EXPECT_THAT(CallRaw(Channel(), "/grpc.health.v1.Health/Check", {""}).messages, ::testing::ElementsAre(serving));
  EXPECT_THAT(CallRaw(Channel(), "/grpc.health.v1.Health/Check",
                      {"\x0a\x15"
                       "bebr.v1.SearchService"})
                  .messages,
              ::testing::ElementsAre(serving));
  EXPECT_EQ(CallRaw(Channel(), "/grpc.health.v1.Health/Check",
                    {"\x0a\x03"
                     "a.b"})
                .status.error_code(),
            grpc::StatusCode::NOT_FOUND);
  RawCall watch(server_->address(), "/grpc.health.v1.Health/Watch");
  std::string message;
  ASSERT_TRUE(watch.Write("") && watch.Read(&message));
  EXPECT_EQ(message, serving);
  server_->Signal(SIGTERM);
  ASSERT_TRUE(watch.Read(&message));
  EXPECT_EQ(message, std::string("\x08\x02", 2));  // NOT_SERVING
  EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server_->Wait(), 0);
}

TEST_F(DoorTest, CallsWithoutAKeyAreBounded) {
  StartWithKeys();
  std::vector<std::unique_ptr<RawCall>> watches;
  const auto channel = Channel();
  for (int i = 0; i < 64; ++i) {
    watches.push_back(std::make_unique<RawCall>(channel, "/grpc.health.v1.Health/Watch"));
    std::string message;
    ASSERT_TRUE(watches.back()->Write("") && watches.back()->Read(&message)) << i;
  }
  EXPECT_EQ(RawCall(Channel(), "/grpc.health.v1.Health/Watch").Finish().error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(CallRaw(Channel(), "/grpc.health.v1.Health/Check", {""}).status.ok());  // counted apart
  watches.clear();
  bool watching = false;
  for (int i = 0; i < 600 && !watching; ++i) {
    RawCall watch(Channel(), "/grpc.health.v1.Health/Watch");
    std::string message;
    watching = watch.Write("") && watch.Read(&message);
    if (!watching) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_TRUE(watching);
}

TEST_F(DoorTest, AHeaderWithoutEndIsCutOff) {
  constexpr size_t kMost = 64 * kMiB;
  StartWithKeys();
  const auto search_time = [&] {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(Search().ok());
    return std::chrono::steady_clock::now() - begin;
  };
  for (int attack = 0; attack < 3; ++attack) {
    const RawConnection connection(server_->address());
    ASSERT_TRUE(connection.Send(
        kPreface + kSettings +
        Frame(1, 0, 1, CallHeaders(kSearch) + std::string(1, '\0') + HpackLength(1) + "x" + HpackLength(100000000))));
    const std::string piece = Frame(9, 0, 1, std::string(16384, 'y'));
    size_t sent = 0;
    bool open = true;
    // What is sent before the cut is noticed includes what lies in the sockets' buffers.
    for (; open && sent < kMost; sent += piece.size()) {
      open = connection.Send(piece);
      if (sent % kMiB == 0) (void)search_time();
    }
    EXPECT_TRUE(!open || connection.ClosedWithin(30000)) << sent;
    EXPECT_LT(sent, kMost);
  }
  // For its bytes, as a rule; for its silence where gRPC has stopped reading from it for so long.
  const std::string metrics = server_->HttpGet("/metrics");
  double closed = 0;
  for (const std::string reason : {"bytes", "silence"}) {
    const std::string sample = "bebr_closed_strangers_total{reason=\"" + reason + "\"} ";
    const size_t at = metrics.find(sample);
    ASSERT_NE(at, std::string::npos);
    closed += std::strtod(metrics.c_str() + at + sample.size(), nullptr);
  }
  EXPECT_EQ(closed, 3);
  EXPECT_TRUE(Search().ok());
}

TEST_F(DoorTest, CallsThatAreTakenBackAtOnceCostLittle) {
  constexpr size_t kMost = 8 * kMiB;
  StartWithKeys();
  const std::string take_back = std::string("\0\0\0\x08", 4);
  for (const std::string key : {"", "admin-key"}) {
    const uint64_t before_kib = PeakKib(server_->pid());
    const std::string headers =
        CallHeaders(kSearch) + (key.empty() ? "" : HeaderField("authorization", "Bearer " + key));
    for (int attack = 0; attack < 3; ++attack) {
      const RawConnection connection(server_->address());
      ASSERT_TRUE(connection.Send(kPreface + kSettings));
      bool open = true;
      uint32_t stream = 1;
      for (size_t sent = 0; open && sent < kMost;) {
        std::string calls;
        for (int i = 0; i < 500; ++i, stream += 2)
          calls += Frame(1, 4, stream, headers) + Frame(3, 0, stream, take_back);
        open = connection.Send(calls);
        connection.Drop();  // or gRPC reads no more
        sent += calls.size();
      }
      EXPECT_TRUE(Search().ok());
      // A stranger has sent too much, at least. Who has a key may go on if the server keeps up with it.
      if (key.empty()) {
        EXPECT_FALSE(open);
      }
    }
    EXPECT_LT((PeakKib(server_->pid()) - before_kib) / 1024, 150u * kSanitizerMemory) << key;
  }
}

// Calls that wait to begin are counted by connection, whichever threads read and begin them.
TEST_F(DoorTest, ManyConnectionsAreServedOneAfterTheOther) {
  StartWithKeys({"--max_concurrent_streams", "2"});
  for (int i = 0; i < 60; ++i) {
    const std::shared_ptr<grpc::Channel> channel = Channel();
    for (const std::string key : {"", "admin-key", "admin-key"}) {
      EXPECT_EQ(CallRaw(channel, kSearch, {""}, key).status.error_code(),
                key.empty() ? grpc::StatusCode::UNAUTHENTICATED : grpc::StatusCode::NOT_FOUND);
    }
  }
}

// gRPC's threads read such calls faster than the refused ones are done with: they must not pile up between its threads,
// nor in connections that are closed already.
TEST_F(DoorTest, CallsWhoseAnswersNobodyReadsCostLittle) {
  StartWithKeys();
  EXPECT_THAT(server_->Log(), Not(HasSubstr("hands calls on")));
  // Calls of 15 bytes each, by HPACK's table, which the first one fills.
  std::string calls = kPreface + kSettings;
  calls += Frame(1, 5, 1,
                 "\x83\x86\x44\x1d/bebr.v1.SearchService/Search\x41\x01x\x5f\x10"
                 "application/grpc\x40\x02te\x08trailers");
  for (uint32_t stream = 3; stream < 40000; stream += 2) calls += Frame(1, 5, stream, "\x83\x86\xc1\xc0\xbf\xbe");
  const uint64_t before_kib = PeakKib(server_->pid());
  std::atomic<bool> over{false};
  std::vector<std::thread> strangers;
  for (int i = 0; i < 8; ++i) {
    strangers.emplace_back([&] {
      while (!over) {
        const RawConnection connection(server_->address());
        bool open = connection.connected();
        for (size_t at = 0; open && !over && at < calls.size(); at += 32 << 10)
          open = connection.Send(std::string_view(calls).substr(at, 32 << 10));
      }
    });
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  const auto refused = [&] { return Handled("Search", "Unauthenticated") + Handled("Search", "ResourceExhausted"); };
  EXPECT_TRUE(Until(
      [&] {
        EXPECT_TRUE(Search().ok());
        return std::chrono::steady_clock::now() > end && refused() > 1000;
      },
      std::chrono::milliseconds(50)));
  over = true;
  for (std::thread& stranger : strangers) stranger.join();
  EXPECT_LT((PeakKib(server_->pid()) - before_kib) / 1024, 1500u * kSanitizerMemory);
}

TEST_F(DoorTest, StrangersConnectionsMakeRoom) {
  StartWithKeys({"--max_connections", "40"});
  std::vector<RawConnection> idle;
  for (int i = 0; i < 200; ++i) {
    idle.emplace_back(server_->address());
    (void)idle.back().Send(kPreface + kSettings);
  }
  // Whoever has a key finds room all the while, also over new connections.
  for (int i = 0; i < 10; ++i) {
    Client another({.server = server_->address(), .deadline = absl::Seconds(60), .api_key = "reader-key"});
    EXPECT_TRUE(another.Search(MakeSearch("c", VectorOf(1), 3)).ok());
    EXPECT_TRUE(Search().ok());
  }
  EXPECT_THAT(server_->HttpGet("/metrics"), ContainsRegex("bebr_closed_strangers_total.reason=\"room\". [1-9]"));
}

TEST_F(DoorTest, HalfOpenHttpConnectionsHoldNobodyUp) {
  Start();
  std::vector<RawConnection> half;
  for (const char* path : {"/healthz", "/readyz", "/metrics"}) {
    // They are closed after five seconds. Who waits for that is never quicker; a machine that has much else to do is,
    // once.
    bool quick = false;
    for (int tries = 0; tries < 10 && !quick; ++tries) {
      half.clear();
      for (int i = 0; i < 200; ++i) {
        half.emplace_back(server_->http_address());
        ASSERT_TRUE(half.back().Send("GET /healthz HTTP/1.1\r\nHost: x\r\n"));
      }
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_THAT(server_->HttpGet(path), HasSubstr("200 OK")) << path;
      quick = std::chrono::steady_clock::now() - begin < std::chrono::seconds(4);
    }
    EXPECT_TRUE(quick) << path;
  }
  // They are closed after a while.
  for (const RawConnection& connection : half) EXPECT_TRUE(connection.ClosedWithin(30000));
}

// As many connections as a stranger likes, from the probe's own address too: each new one takes the place of another.
TEST_F(DoorTest, StrangersKeepNoProbeOut) {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  Start();
  std::vector<RawConnection> held;
  for (int i = 0; i < 1500; ++i) {
    held.emplace_back(server_->http_address());
    // Some have begun a request, some do not read what they asked for.
    if (i % 3 == 0) (void)held.back().Send("GET /healthz HTTP/1.1\r\nHost: x\r\n");
    if (i % 3 == 1) (void)held.back().Send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    if (i % 100 != 99) continue;
    EXPECT_THAT(server_->HttpGet("/readyz"), HasSubstr("200 OK")) << i;
    EXPECT_THAT(server_->HttpGet("/healthz"), HasSubstr("200 OK")) << i;
  }
  // Scrapes that strangers asked for are made first.
  std::string metrics = server_->HttpGet("/metrics");
  for (int i = 0; i < 600 && metrics.find("200 OK") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    metrics = server_->HttpGet("/metrics");
  }
  EXPECT_THAT(metrics, HasSubstr("200 OK"));
}

}  // namespace
}  // namespace bebr::testing
