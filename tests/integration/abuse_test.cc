// Clients that misbehave: garbage, idle connections, slow readers, floods. Whatever they do, others are served, memory
// stays within the limits, and every refusal has its code.
#include <arpa/inet.h>
#include <grpcpp/generic/generic_stub.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <random>
#include <regex>
#include <thread>

#include "tests/integration/raw_connection.h"
#include "tests/integration/tls_fixture.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMiB = uint64_t{1} << 20;

uint64_t ResidentKib(pid_t pid, const char* field) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(field, 0) == 0) return std::stoull(line.substr(line.find_first_of("0123456789")));
  }
  return 0;
}

std::string RandomBytes(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// Searches and writes without a pause, as a well-behaved client does, and counts what fails.
class Bystander {
 public:
  explicit Bystander(ClientOptions options) : client_(std::move(options)), thread_([this] { Run(); }) {}
  ~Bystander() {
    stop_ = true;
    thread_.join();
    EXPECT_GT(calls_, 0);
    EXPECT_EQ(failures_, 0);
  }
  // Returns after the client was served `count` times more.
  void AwaitCalls(int count) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    const int before = calls_;
    while (calls_ < before + count && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_GE(calls_, before + count) << "the server does not serve others";
  }

 private:
  void Run() {
    for (size_t number = 0; !stop_; ++number) {
      const absl::Status status = number % 8 == 0 ? client_.Upsert(MakeUpsert("c", number % 100, 1)).status()
                                                  : client_.Search(MakeSearch("c", VectorOf(number % 100), 5)).status();
      if (!status.ok()) {
        ++failures_;
        ADD_FAILURE() << "a bystander's call failed: " << status;
        return;
      }
      ++calls_;
    }
  }
  Client client_;
  std::atomic<bool> stop_{false};
  std::atomic<int> calls_{0}, failures_{0};
  std::thread thread_;
};

class AbuseTest : public TlsTest {
 protected:
  void StartPlain(const std::vector<std::string>& flags) {
    Start(flags);
    CreateCollection(v1::FLOAT_STORAGE_NONE);
    ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 5000)).ok());
  }
  v1::BatchSearchRequest LargeSearch(size_t queries, uint32_t k) {
    v1::BatchSearchRequest request;
    request.set_collection("c");
    request.mutable_options()->set_k(k);
    for (size_t i = 0; i < queries; ++i) {
      const auto values = VectorOf(i);
      request.add_queries()->mutable_values()->Add(values.begin(), values.end());
    }
    return request;
  }
};

TEST_F(AbuseTest, GarbageIsClosed) {
  StartPlain({"--handshake_timeout_s", "2"});
  const Bystander bystander(client_->options());
  const std::string open = kPreface + kSettings;
  const std::string call = CallHeaders("/bebr.v1.SearchService/Search");
  const struct {
    const char* name;
    std::string bytes;
  } closed[] = {
      {"random bytes", RandomBytes(5000, 1)},
      {"HTTP/1", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"TLS on a plaintext port",
       std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + RandomBytes(500, 2)},
      {"a frame of 16 MiB", open + Frame(0, 0, 1, RandomBytes(1000, 3), 0xffffff)},
      {"settings of a length that is no multiple of 6", open + Frame(4, 0, 0, "12345")},
      {"headers that are no HPACK", open + Frame(1, 4, 1, std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8))},
      {"a continuation of nothing", open + Frame(9, 4, 1, "")},
      {"random frames", open + RandomBytes(20000, 4)},
      {"nothing", ""},
      {"half a preface", kPreface.substr(0, 10)},
  };
  for (const auto& attack : closed) {
    const RawConnection connection(server_->address());
    ASSERT_TRUE(connection.connected());
    (void)connection.Send(attack.bytes);
    EXPECT_TRUE(connection.ClosedWithin(30000)) << attack.name;
  }
  // These may be answered on the stream alone; the server must live on.
  for (const std::string& frames :
       {Frame(8, 0, 0, std::string("\x7f\xff\xff\xff", 4)),                             // a window that overflows
        Frame(0, 0, 0, "data"),                                                         // on no stream
        Frame(1, 4, 1, call) + Frame(0, 1, 1, std::string("\x00\xff\xff\xff\xff", 5)),  // a message of 4 GiB
        Frame(1, 4, 1, call) +
            Frame(0, 1, 1, std::string("\x01\x00\x00\x00\x05", 5) + "xxxxx"),  // compressed by nothing
        Frame(1, 4, 1, call) + Frame(0, 1, 1, std::string("\x00\x00\x00\x00\x05", 5) + "\xff\xff\xff\xff\xff"),
        Frame(1, 4, 1, call + HeaderField("x", std::string(16000, 'y')))}) {
    const RawConnection connection(server_->address());
    (void)connection.Send(open + frames);
    (void)connection.ClosedWithin(200);
  }
  // Thousands of calls begun and taken back on one connection.
  {
    const RawConnection connection(server_->address());
    std::string storm = open;
    for (uint32_t stream = 1; stream < 20000; stream += 2) {
      storm += Frame(1, 4, stream, call) + Frame(3, 0, stream, std::string("\x00\x00\x00\x08", 4));
    }
    (void)connection.Send(storm);
  }
  // Pings without end: sent away.
  const RawConnection pinging(server_->address());
  (void)pinging.Send(open);
  bool open_still = true;
  for (int i = 0; i < 100000 && open_still; ++i) open_still = pinging.Send(Frame(6, 0, 0, "12345678"));
  EXPECT_TRUE(!open_still || pinging.ClosedWithin(30000));
  bystander.AwaitCalls(20);
  EXPECT_TRUE(server_->Running());
}

TEST_F(AbuseTest, IdleConnectionsAreBounded) {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  constexpr size_t kConnections = 10000;
  const size_t most = std::min<size_t>(kConnections, files.rlim_cur - 500);
  StartPlain({"--max_connections", std::to_string(most - 500), "--handshake_timeout_s", "60"});
  const Bystander bystander(client_->options());
  bystander.AwaitCalls(1);  // it is connected
  const uint64_t before_kib = ResidentKib(server_->pid(), "VmRSS");
  std::vector<RawConnection> idle;
  for (size_t i = 0; i < most; ++i) {
    idle.emplace_back(server_->address());
    // Half of them speak HTTP/2 and then say nothing.
    if (i % 2 == 0) (void)idle.back().Send(kPreface + kSettings);
  }
  bystander.AwaitCalls(50);
  // The kernel takes connections faster than the server accepts them. Those that have said nothing make room.
  const std::regex closed("bebr_closed_strangers_total.reason=\"room\". [1-9]");
  for (int i = 0; i < 300 && !std::regex_search(server_->HttpGet("/metrics"), closed); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_TRUE(std::regex_search(server_->HttpGet("/metrics"), closed));
  EXPECT_TRUE(idle.front().ClosedWithin(10000));
  const uint64_t per_connection_kib = (ResidentKib(server_->pid(), "VmHWM") - before_kib) / most;
  EXPECT_LT(per_connection_kib, 64u * kSanitizerMemory);
  EXPECT_TRUE(Client({.server = server_->address(), .deadline = absl::Seconds(60)}).ListCollections().ok());
}

// UBSan asks the kernel through a pipe whether an object may be looked at, and reports one that may not: all of them,
// where there are no descriptors left.
#ifdef __SANITIZE_ADDRESS__
#define BEBR_SKIP_UNDER_SANITIZER() GTEST_SKIP() << "the sanitizer needs descriptors itself"
#else
#define BEBR_SKIP_UNDER_SANITIZER() static_cast<void>(0)
#endif

TEST_F(AbuseTest, AServerThatRunsOutOfFilesRecovers) {
  BEBR_SKIP_UNDER_SANITIZER();
  StartPlain({"--handshake_timeout_s", "60"});
  // What the start did not know of: fewer descriptors than it reckoned with.
  const rlimit few{.rlim_cur = 200, .rlim_max = 100000};
  rlimit before{};
  ASSERT_EQ(prlimit(server_->pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit lowered{.rlim_cur = few.rlim_cur, .rlim_max = before.rlim_max};
  ASSERT_EQ(prlimit(server_->pid(), RLIMIT_NOFILE, &lowered, nullptr), 0);
  {
    std::vector<RawConnection> idle;
    for (int i = 0; i < 300; ++i) idle.emplace_back(server_->address());
    while (server_->Log().find("cannot be accepted") == std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(client_->Search(MakeSearch("c", VectorOf(1), 3)).ok());  // over the connection that it has
  }
  absl::Status status = absl::UnavailableError("");
  for (int i = 0; i < 100 && !status.ok(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    status = Client({.server = server_->address(), .deadline = absl::Seconds(5)}).ListCollections().status();
  }
  EXPECT_TRUE(status.ok()) << status << (server_->Running() ? "" : "; the server ended:\n" + server_->Log());
}

// Collections are made until there are no descriptors for another one: what was made can be opened by the next start,
// which has no more of them.
TEST_F(AbuseTest, WhatFewFilesWereEnoughForTheyAreEnoughForAgain) {
  BEBR_SKIP_UNDER_SANITIZER();
  constexpr uint64_t kFiles = 200;
  constexpr int kMostCollections = 100;
  std::vector<std::string> made;
  const auto start = [&] {
    server_ = std::make_unique<ServerProcess>(Path("data"), std::vector<std::string>{"--max_connections", "20"},
                                              Variables(), kFiles);
    client_ = std::make_unique<Client>(ClientOptions{.server = server_->address(), .deadline = absl::Seconds(60)});
  };
  start();
  ASSERT_TRUE(server_->valid());
  absl::Status status;
  for (int i = 0; i < kMostCollections && status.ok(); ++i) {
    v1::CollectionConfig config;
    config.set_name("c" + std::to_string(i));
    status = client_->CreateCollection(config, ModelFile()).status();
    if (status.ok()) made.push_back(config.name());
    if (status.ok()) status = client_->Upsert(MakeUpsert(config.name(), 0, 10)).status();
    v1::CreateSnapshotRequest snapshot;  // which writes table files
    snapshot.set_collection(config.name());
    if (status.ok()) status = client_->CreateSnapshot(snapshot).status();
  }
  EXPECT_FALSE(status.ok()) << "there are no fewer files than collections need";
  EXPECT_GE(made.size(), 5u) << status;
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
  start();
  ASSERT_TRUE(server_->valid());
  // Collections that are opened at the same time may want more for a moment; those are tried again.
  absl::StatusOr<v1::ListCollectionsResponse> list = client_->ListCollections();
  for (int i = 0; i < 300 && list.ok() && list->unavailable_size() > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    list = client_->ListCollections();
  }
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->collections_size(), static_cast<int>(made.size()));
  for (const auto& unavailable : list->unavailable())
    ADD_FAILURE() << unavailable.name() << ": " << unavailable.reason();
  for (const std::string& name : made) {
    const absl::Status found = client_->Search(MakeSearch(name, VectorOf(1), 3)).status();
    EXPECT_TRUE(found.ok()) << found;
  }
}

TEST_F(AbuseTest, SlowReadersFillNoMemory) {
  constexpr uint64_t kPending = 32 * kMiB;
  StartPlain({"--response_timeout_s", "10", "--max_pending_response_bytes", std::to_string(kPending),
              "--max_answer_bytes", std::to_string(2 * kPending), "--max_message_bytes", std::to_string(8 * kMiB)});
  // Answers of some 1.5 MiB each, which nobody takes.
  const auto taken = client_->BatchSearch(LargeSearch(45, 1000));
  ASSERT_TRUE(taken.ok()) << taken.status();
  const std::string bytes = LargeSearch(45, 1000).SerializeAsString();
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  const uint64_t before_kib = ResidentKib(server_->pid(), "VmRSS");
  struct SlowCall {
    std::unique_ptr<grpc::GenericStub> stub;
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  };
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<SlowCall>> calls;
  absl::Status refused;
  for (int i = 0; refused.ok() && i < 2000; ++i) {
    grpc::ChannelArguments own_connection;
    own_connection.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    own_connection.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // the window stays as small as HTTP/2 makes it
    auto call = std::make_unique<SlowCall>();
    call->stub = std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), own_connection));
    call->reader = call->stub->PrepareUnaryCall(&call->context, "/bebr.v1.SearchService/BatchSearch", request, &queue);
    call->reader->StartCall();
    call->reader->ReadInitialMetadata(nullptr);  // and no more than that
    calls.push_back(std::move(call));
    // Others are served, or, while too much waits, told to come back: never left waiting.
    const absl::Status status = client_->Search(MakeSearch("c", VectorOf(1), 3)).status();
    if (status.message().find("max_answer_bytes") == std::string::npos) refused = status;
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("max_pending_response_bytes"));
  // What waits is there once, as the bytes on the wire. On top come the answers that were being made when the limit was
  // reached, and what the allocator keeps of the messages that those who wait were made of.
  const uint64_t grown_kib = ResidentKib(server_->pid(), "VmHWM") - before_kib;
  std::printf("slow readers: %llu MiB more at a limit of %llu MiB\n", static_cast<unsigned long long>(grown_kib >> 10),
              static_cast<unsigned long long>(kPending / kMiB));
  EXPECT_LT(grown_kib * 1024, 8 * kPending * kSanitizerMemory);
  // After the timeout they are gone, and everybody is served.
  absl::Status status = absl::UnavailableError("");
  for (int i = 0; i < 300 && !status.ok(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    status = client_->Search(MakeSearch("c", VectorOf(1), 3)).status();
  }
  EXPECT_TRUE(status.ok()) << status;
  const std::string none = "bebr_pending_response_bytes 0";
  for (int i = 0; i < 300 && server_->HttpGet("/metrics").find(none) == std::string::npos; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_THAT(server_->HttpGet("/metrics"), HasSubstr(none));
  EXPECT_THAT(server_->HttpGet("/metrics"), ::testing::ContainsRegex("bebr_slow_readers_total [1-9]"));
  for (const auto& call : calls) call->context.TryCancel();
}

TEST_F(AbuseTest, AFloodOfExpensiveQueriesIsBounded) {
  WriteKeys("admin-key");
  auto flags = TlsFlags();
  flags.insert(flags.end(),
               {"--keys_file", Path("keys.json"), "--tls_client_ca_file", Path("ca.pem"), "--max_queued_queries",
                "2048", "--max_results_per_call", "200000", "--max_pending_response_bytes", std::to_string(64 * kMiB),
                "--max_answer_bytes", std::to_string(256 * kMiB)});
  MakeCertificate("client", "ca");
  Start(flags);
  const auto options = [&](const std::string& key) {
    return ClientOptions{.server = server_->address(),
                         .deadline = absl::Seconds(60),
                         .api_key = key,
                         .tls_ca_file = Path("ca.pem"),
                         .tls_cert_file = Path("client.pem"),
                         .tls_key_file = Path("client.key")};
  };
  v1::CollectionConfig config;
  config.set_name("c");
  ASSERT_TRUE(Client(options("admin-key")).CreateCollection(config, ModelFile()).ok());
  ASSERT_TRUE(Client(options("writer-key")).Upsert(MakeUpsert("c", 0, 5000)).ok());
  const uint64_t before_kib = ResidentKib(server_->pid(), "VmRSS");

  Client greedy(options("reader-key"));
  const absl::Status too_much = greedy.BatchSearch(LargeSearch(500, 401)).status();
  EXPECT_EQ(too_much.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(too_much.message()), HasSubstr("k is 401, which times 500 queries is more than 200000"));

  std::atomic<bool> stop{false};
  std::atomic<int> served{0}, refused{0};
  std::vector<std::thread> flood;
  for (int i = 0; i < 12; ++i) {
    flood.emplace_back([&] {
      Client client(options("reader-key"));
      while (!stop) {
        const absl::Status status = client.BatchSearch(LargeSearch(500, 380)).status();
        if (status.ok()) {
          ++served;
        } else if (status.code() == absl::StatusCode::kResourceExhausted) {
          ++refused;
        } else {
          ADD_FAILURE() << status;
        }
      }
    });
  }
  // One that tries again when it is told to is served all the while; of the flood some are and some are not.
  Client polite(options("writer-key"));
  for (int calls = 0; calls < 10 || (calls < 600 && (served == 0 || refused == 0)); ++calls) {
    absl::Status status = absl::ResourceExhaustedError("");
    for (int attempt = 0; attempt < 300 && absl::IsResourceExhausted(status); ++attempt) {
      status = polite.Search(MakeSearch("c", VectorOf(1), 3)).status();
      if (!status.ok()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    EXPECT_TRUE(status.ok()) << status;
    // Wrong keys and roles are refused as ever, by their own codes.
    const absl::Status stranger = Client(options("")).Search(MakeSearch("c", VectorOf(1), 3)).status();
    EXPECT_TRUE(absl::IsUnauthenticated(stranger)) << stranger;
    EXPECT_EQ(greedy.Upsert(MakeUpsert("c", 0, 1)).status().code(), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(greedy.Search(MakeSearch("other", VectorOf(1), 3)).status().code(), absl::StatusCode::kPermissionDenied);
  }
  stop = true;
  for (auto& thread : flood) thread.join();
  EXPECT_GT(served, 0);
  EXPECT_GT(refused, 0);
  EXPECT_LT((ResidentKib(server_->pid(), "VmHWM") - before_kib) / 1024, 600u * kSanitizerMemory);
  EXPECT_TRUE(server_->Running());
}

}  // namespace
}  // namespace bebr::testing
