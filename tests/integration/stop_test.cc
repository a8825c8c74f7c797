// The end of a server: whom it waits for, what it tells others, and what calls that meet it come to.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "tests/integration/fixture.h"
#include "tests/integration/programs.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/raw_connection.h"

namespace bebr::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class StopTest : public ServerTest {
 protected:
  // A call that goes on for as long as its client likes: the upload of a model.
  std::unique_ptr<RawCall> BeginUpload() const { return BeginUpload(OwnConnection(server_->address())); }
  std::unique_ptr<RawCall> BeginUpload(const std::shared_ptr<grpc::Channel>& channel) const {
    auto upload = std::make_unique<RawCall>(channel, "/bebr.v1.CollectionService/CreateCollection");
    v1::CreateCollectionRequest request;
    request.mutable_config()->set_name("uploaded");
    EXPECT_TRUE(upload->Write(request.SerializeAsString()));
    AwaitOne("grpc_server_msg_received_total{grpc_method=\"CreateCollection\"");
    return upload;
  }
  // Waits until the counter is 1.
  void AwaitOne(const std::string& counter) const {
    for (int i = 0; i < 6000; ++i) {
      const std::string metrics = server_->HttpGet("/metrics");
      const size_t at = metrics.find(counter);
      if (at != std::string::npos && metrics.substr(metrics.find("} ", at), 4) == "} 1\n") break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  // Of the collection "c".
  uint64_t TableBytes() const {
    uint64_t bytes = 0;
    std::error_code gone;  // files come and go
    for (const auto& entry : std::filesystem::directory_iterator(Path("data/collections/c/shard-000"))) {
      if (entry.path().extension() != ".sst") continue;
      const uint64_t size = entry.file_size(gone);
      if (!gone) bytes += size;
    }
    return bytes;
  }
  // Sends the rest of an upload.
  static void ExpectUploaded(RawCall& upload) {
    v1::CreateCollectionRequest model;
    model.set_model_chunk(ModelFile());
    std::string answer;
    EXPECT_TRUE(upload.Write(model.SerializeAsString()) && upload.WritesDone() && upload.Read(&answer));
    const grpc::Status status = upload.Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
};

TEST_F(StopTest, IdleConnectionsAreNotWaitedFor) {
  Start({"--drain_timeout_s", "600"});
  ASSERT_TRUE(client_->ListCollections().ok());
  // One that does not look at what the server says, as a Python client between two calls.
  const RawConnection idle(server_->address());
  ASSERT_TRUE(idle.Send(kPreface + kSettings));
  const RawConnection silent(server_->address());
  ASSERT_TRUE(silent.connected());
  const auto begin = std::chrono::steady_clock::now();
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
  // gRPC waits 20 seconds for its answer.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
  EXPECT_TRUE(idle.ClosedWithin(60000));
}

TEST_F(StopTest, CallsInFlightEndAndNewOnesAreUnavailable) {
  Start({"--drain_timeout_s", "600"});
  ASSERT_TRUE(client_->ListCollections().ok());
  const auto upload = BeginUpload();
  server_->Signal(SIGTERM);
  absl::Status refused;
  for (int i = 0; i < 6000 && refused.ok(); ++i) {
    refused = client_->ListCollections().status();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the server is stopping"));
  EXPECT_TRUE(server_->Running());
  ExpectUploaded(*upload);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
  // Others' calls may be many.
  EXPECT_THAT(server_->Log(), Not(HasSubstr("call_failed")));
  EXPECT_THAT(server_->Log(), ContainsRegex("calls refused while the server stopped: [1-9]"));
}

TEST_F(StopTest, HealthSaysSo) {
  Start({"--drain_timeout_s", "600"});
  const auto upload = BeginUpload();
  const auto channel = OwnConnection(server_->address());
  const auto check = [&] { return CallRaw(channel, "/grpc.health.v1.Health/Check", {""}); };
  const std::vector<std::string> serving = {"\x08\x01"}, not_serving = {"\x08\x02"};
  EXPECT_EQ(check().messages, serving);
  RawCall watch(server_->address(), "/grpc.health.v1.Health/Watch");
  std::string state;
  ASSERT_TRUE(watch.Write("") && watch.WritesDone() && watch.Read(&state));
  EXPECT_EQ(state, serving[0]);
  server_->Signal(SIGTERM);
  RawAnswer answer;
  do answer = check();
  while (answer.messages == serving);
  EXPECT_EQ(answer.messages, not_serving) << answer.status.error_message();
  ASSERT_TRUE(watch.Read(&state));
  EXPECT_EQ(state, not_serving[0]);
  // Its connection was closed. A call that the server ends is begun again at once by gRPC's clients, without end.
  EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  ExpectUploaded(*upload);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
  EXPECT_THAT(server_->Log(), Not(HasSubstr("call_failed")));
  EXPECT_THAT(server_->Log(), HasSubstr("calls refused while the server stopped: 0"));
}

TEST_F(StopTest, HttpConnectionsAreToldToEnd) {
  Start({"--drain_timeout_s", "600", "--http_listen", "127.0.0.1:0"});
  const std::string log = server_->Log();
  const size_t at = log.find("http=127.0.0.1:");
  ASSERT_NE(at, std::string::npos);
  const RawConnection http(log.substr(at + 5, log.find(' ', at) - at - 5));
  const auto list = [&] {
    EXPECT_TRUE(
        http.Send("POST /bebr.v1.CollectionService/ListCollections HTTP/1.1\r\nHost: localhost\r\n"
                  "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"));
    return http.ReadUntil("}", 60000);
  };
  std::string answer = list();
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_THAT(answer, Not(HasSubstr("Connection: close")));
  const auto upload = BeginUpload();
  server_->Signal(SIGTERM);
  while (!answer.empty() && answer.find("Connection: close") == std::string::npos) answer = list();
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_TRUE(http.ClosedWithin(60000));
  ExpectUploaded(*upload);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
}

TEST_F(StopTest, ClientsAreSentElsewhereWhileACallGoesOn) {
  Start({"--drain_timeout_s", "600"});
  const auto busy = OwnConnection(server_->address());
  const auto upload = BeginUpload(busy);
  const RawConnection idle(server_->address());
  ASSERT_TRUE(idle.Send(kPreface + kSettings));
  ASSERT_EQ(busy->GetState(false), GRPC_CHANNEL_READY);
  server_->Signal(SIGTERM);
  EXPECT_TRUE(idle.ClosedWithin(60000));
  // gRPC's client makes no call any more on a connection that had a GOAWAY.
  for (int i = 0; i < 6000 && busy->GetState(false) == GRPC_CHANNEL_READY; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_NE(busy->GetState(false), GRPC_CHANNEL_READY);
  EXPECT_TRUE(server_->Running());
  ExpectUploaded(*upload);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
}

TEST_F(StopTest, ASecondSignalCutsCallsOffAndSighupDoesNothing) {
  Start({"--drain_timeout_s", "600"});
  const auto upload = BeginUpload();
  server_->Signal(SIGTERM);
  server_->AwaitLog("draining");
  server_->Signal(SIGHUP);
  server_->AwaitLog("nothing is read again");
  EXPECT_TRUE(server_->Running());
  server_->Signal(SIGTERM);
  EXPECT_EQ(upload->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
}

TEST_F(StopTest, AfterItsTimeACallIsUnavailable) {
  Start({"--drain_timeout_s", "1"});
  const auto upload = BeginUpload();
  server_->Signal(SIGTERM);
  EXPECT_EQ(upload->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
}

// A call that waits for the disk space of what it dropped: the next start gives that back.
TEST_F(StopTest, ACompactionIsNotWaitedFor) {
  constexpr size_t kDocuments = 60000;
  const std::string slow = WriteFile("the-disk-is-slow", "");
  Start({"--drain_timeout_s", "600"}, {{"LD_PRELOAD", std::string(BEBR_PROGRAMS) + "/tests/libslow_sync.so"},
                                       {"SLOW_SYNC_MS", "5000"},
                                       {"SLOW_SYNC_WHILE", slow},
                                       {"SLOW_SYNC_IN", "nowhere"},
                                       {"SLOW_WRITE_IN", ".sst"},
                                       {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
  ASSERT_EQ(std::remove(slow.c_str()), 0);
  CreateCollection();
  v1::VersionConfig version;
  version.set_collection("c");
  version.set_name("v2");
  ASSERT_TRUE(client_->AddVersion(version, ModelFile(2)).ok());
  for (size_t first = 0; first < kDocuments; first += kDocuments / 60) {
    v1::UpsertRequest upsert = MakeUpsert("c", first, kDocuments / 60);
    for (v1::Document& document : *upsert.mutable_documents()) {
      *document.add_embeddings() = document.embeddings(0);
      document.mutable_embeddings(1)->set_version("v2");
    }
    const absl::Status written = client_->Upsert(upsert).status();
    ASSERT_TRUE(written.ok()) << written;
  }
  Bebr({"version", "promote", "c", "v2"});
  Bebr({"snapshot", "create", "c"});  // all of it is in table files now
  const uint64_t before = TableBytes();
  WriteFile("the-disk-is-slow", "");
  std::thread retiring([&] {
    Client client({.server = server_->address()});
    v1::RetireVersionRequest request;
    request.set_collection("c");
    request.set_version("v1");
    const absl::Status retired = client.RetireVersion(request).status();
    EXPECT_TRUE(retired.ok()) << retired;
  });
  while (client_->GetCollection("c")->versions(0).state() != v1::VERSION_STATE_RETIRED)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  server_->Signal(SIGTERM);
  retiring.join();
  EXPECT_EQ(std::remove(slow.c_str()), 0);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
  EXPECT_THAT(server_->Log(), Not(HasSubstr("call_failed")));
  EXPECT_GT(TableBytes(), before * 3 / 4);
  Start();
  EXPECT_EQ(client_->GetCollection("c")->documents(), kDocuments);
  for (int i = 0; i < 6000 && TableBytes() > before * 3 / 4; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_LT(TableBytes(), before * 3 / 4);
}

TEST_F(StopTest, NoCallIsCancelled) {
  Start();
  CreateCollection(v1::FLOAT_STORAGE_NONE);
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 1000)).ok());
  for (int round = 0; round < 3; ++round) {
    if (round > 0) Start();
    std::atomic<int> connected{0}, unavailable{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < 8; ++i) {
      clients.emplace_back([&, address = server_->address()] {
        Client client({.server = address, .deadline = absl::Seconds(60)});
        absl::Status status;
        for (int calls = 0; status.ok(); ++calls) {
          status = client.Search(MakeSearch("c", VectorOf(1), 100)).status();
          if (calls == 1) ++connected;
        }
        EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
        unavailable += absl::IsUnavailable(status) ? 1 : 0;
      });
    }
    for (int i = 0; i < 6000 && connected < 8; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    server_->Signal(SIGTERM);
    for (auto& client : clients) client.join();
    EXPECT_EQ(server_->Wait(), 0) << server_->Log();
    EXPECT_EQ(unavailable, 8);
  }
}

}  // namespace
}  // namespace bebr::testing
