// The end of a server: whom it waits for, what it tells others, and what calls that meet it come to.
#include <atomic>
#include <chrono>
#include <thread>

#include "tests/integration/fixture.h"
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
