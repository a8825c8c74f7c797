// Deadlines, cancellation, health, reflection, metrics, draining, and clients that misbehave.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <regex>
#include <thread>

#include "tests/integration/fixture.h"

namespace bebr::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class LimitsTest : public ServerTest {
 protected:
  std::shared_ptr<grpc::Channel> Channel() {
    return grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  }

  // Calls a method of a service whose messages are not part of this API, with raw bytes.
  grpc::Status CallRaw(const std::string& method, const std::string& request, std::string* response) {
    grpc::GenericStub stub(Channel());
    grpc::ClientContext context;
    const grpc::Slice slice(request);
    grpc::ByteBuffer in(&slice, 1);
    grpc::ByteBuffer out;
    grpc::Status status;
    std::atomic<bool> done{false};
    grpc::CompletionQueue queue;
    auto call = stub.PrepareUnaryCall(&context, method, in, &queue);
    call->StartCall();
    call->Finish(&out, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    std::vector<grpc::Slice> slices;
    if (status.ok() && out.Dump(&slices).ok()) {
      for (const auto& part : slices) response->append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
    return status;
  }
};

TEST_F(LimitsTest, HealthServesAndNotAfterDraining) {
  Start();
  std::string response;
  ASSERT_TRUE(CallRaw("/grpc.health.v1.Health/Check", "", &response).ok());
  EXPECT_EQ(response, std::string("\x08\x01", 2));  // status: SERVING
  EXPECT_THAT(server_->HttpGet("/healthz"), HasSubstr("200 OK"));
  EXPECT_THAT(server_->HttpGet("/readyz"), AllOf(HasSubstr("200 OK"), HasSubstr("ready")));
  EXPECT_THAT(server_->HttpGet("/nothing"), HasSubstr("404"));
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
  EXPECT_THAT(server_->Log(), HasSubstr("stopped"));
}

TEST_F(LimitsTest, ReflectionListsTheServices) {
  Start();
  grpc::GenericStub stub(Channel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto call = stub.PrepareCall(&context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto next = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  ASSERT_TRUE(next());
  const grpc::Slice slice(std::string("\x3a\x01*", 3));  // list_services: "*"
  grpc::ByteBuffer request(&slice, 1);
  call->Write(request, nullptr);
  ASSERT_TRUE(next());
  grpc::ByteBuffer response;
  call->Read(&response, nullptr);
  ASSERT_TRUE(next());
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(response.Dump(&slices).ok());
  std::string text;
  for (const auto& part : slices) text.append(reinterpret_cast<const char*>(part.begin()), part.size());
  for (const char* service : {"bebr.v1.SearchService", "bebr.v1.DocumentService", "bebr.v1.CollectionService",
                              "bebr.v1.AdminService", "bebr.v1.ClusterService"}) {
    EXPECT_THAT(text, HasSubstr(service));
  }
  call->WritesDone(nullptr);
  next();
  grpc::Status status;
  call->Finish(&status, nullptr);
  next();
}

TEST_F(LimitsTest, MetricsMove) {
  Start();
  CreateCollection();
  EXPECT_NE(server_->HttpGet("/metrics").find("bebr_documents_upserted_total 0"), std::string::npos);
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 30)).ok());
  ASSERT_TRUE(client_->Search(MakeSearch("c", VectorOf(1), 3)).ok());
  ASSERT_FALSE(client_->Search(MakeSearch("nowhere", VectorOf(1), 3)).ok());
  v1::DeleteRequest remove;
  remove.set_collection("c");
  remove.add_ids("3");
  ASSERT_TRUE(client_->Delete(remove).ok());
  const std::string text = server_->HttpGet("/metrics");
  for (const char* line :
       {"bebr_documents_upserted_total 30", "bebr_documents_deleted_total 1", "bebr_queries_total 1",
        "bebr_scans_total 1", "bebr_documents_scanned_total 30", "bebr_collection_documents.collection=.c.. 29",
        "bebr_search_stage_seconds_count.stage=.scan.. 1",
        "grpc_server_handled_total.grpc_code=.OK.,grpc_method=.Search.[^}]*. 1",
        "grpc_server_handled_total.grpc_code=.NotFound.,grpc_method=.Search.[^}]*. 1",
        "grpc_server_started_total.grpc_method=.Upsert.[^}]*. 1",
        "grpc_server_handling_seconds_count.grpc_method=.Search.[^}]*. 2",
        "grpc_server_msg_received_total.grpc_method=.Search.[^}]*. 2",
        "grpc_server_msg_sent_total.grpc_method=.Search.[^}]*. 1"}) {
    EXPECT_TRUE(std::regex_search(text, std::regex(line))) << line;
  }
}

TEST_F(LimitsTest, MetricsPassPromtool) {
  ASSERT_EQ(std::system("command -v promtool >/dev/null"), 0) << "promtool (package prometheus) is not installed";
  Start();
  CreateCollection();
  const std::string answer = server_->HttpGet("/metrics");
  const std::string file = WriteFile("metrics.txt", answer.substr(answer.find("\r\n\r\n") + 4));
  EXPECT_EQ(std::system(("promtool check metrics < " + file).c_str()), 0);
}

TEST_F(LimitsTest, AnExpiredDeadlineEndsASearch) {
  Start({"--threads", "1"}, {{"BEBR_SIMD", "scalar"}});
  CreateCollection(v1::FLOAT_STORAGE_NONE);
  for (size_t first = 0; first < 20000; first += 5000) ASSERT_TRUE(client_->Upsert(MakeUpsert("c", first, 5000)).ok());
  auto stub = v1::SearchService::NewStub(Channel());
  v1::BatchSearchRequest request;
  request.set_collection("c");
  for (size_t i = 0; i < 1000; ++i) {
    const auto values = VectorOf(i);
    request.add_queries()->mutable_values()->Add(values.begin(), values.end());
  }
  v1::BatchSearchResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(10));
  EXPECT_EQ(stub->BatchSearch(&context, request, &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // Cancellation too, and the server goes on.
  grpc::ClientContext cancelled;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    cancelled.TryCancel();
  });
  EXPECT_EQ(stub->BatchSearch(&cancelled, request, &response).error_code(), grpc::StatusCode::CANCELLED);
  canceller.join();
  EXPECT_TRUE(client_->Search(MakeSearch("c", VectorOf(1), 3)).ok());
}

uint64_t PeakKib(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("VmHWM", 0) == 0) return std::stoull(line.substr(line.find_first_of("0123456789")));
  }
  return 0;
}

TEST_F(LimitsTest, AnswersAreBoundedBeforeTheyAreMade) {
  Start({"--max_answer_bytes", std::to_string(16 << 20)});
  CreateCollection();
  for (size_t first = 0; first < 10000; first += 5000) ASSERT_TRUE(client_->Upsert(MakeUpsert("c", first, 5000)).ok());
  v1::BatchSearchRequest search;
  search.set_collection("c");
  for (size_t i = 0; i < 50; ++i) *search.add_queries() = MakeSearch("c", VectorOf(i), 1).query();
  search.mutable_options()->set_k(10);
  search.mutable_options()->set_with_attributes(true);
  search.mutable_options()->set_explain(true);
  EXPECT_TRUE(client_->BatchSearch(search).ok());
  const uint64_t before_kib = PeakKib(server_->pid());
  search.mutable_options()->set_k(10000);
  const auto expect_refused = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("half of max_answer_bytes"));
  };
  expect_refused(client_->BatchSearch(search).status());
  v1::GetRequest get;
  get.set_collection("c");
  get.set_with_embeddings(true);
  for (size_t i = 0; i < 10000; ++i) get.add_ids(std::to_string(i));
  expect_refused(client_->Get(get).status());
  EXPECT_LT(PeakKib(server_->pid()) - before_kib, 64 * 1024u * kSanitizerMemory);  // 500,000 hits alone would take more
  // Pages are shorter, and a stream goes on in pieces.
  v1::ScrollRequest scroll;
  scroll.set_collection("c");
  scroll.set_limit(10000);
  scroll.set_with_attributes(true);
  int pages = 0, documents = 0;
  do {
    const auto page = client_->Scroll(scroll);
    ASSERT_TRUE(page.ok()) << page.status();
    documents += page->documents_size();
    scroll.set_page_token(page->next_page_token());
    ++pages;
  } while (!scroll.page_token().empty());
  EXPECT_EQ(documents, 10000);
  EXPECT_GT(pages, 1);
}

TEST_F(LimitsTest, ASigtermDuringAStreamLosesNoAcknowledgedDocument) {
  Start({"--drain_timeout_s", "20"});
  CreateCollection(v1::FLOAT_STORAGE_NONE);
  auto stub = v1::DocumentService::NewStub(Channel());
  grpc::ClientContext context;
  auto stream = stub->StreamUpsert(&context);
  std::atomic<uint64_t> acknowledged{0};
  std::thread reader([&] {
    v1::StreamUpsertResponse response;
    while (stream->Read(&response)) acknowledged += response.documents();
  });
  std::thread stopper([&] {
    while (acknowledged < 100) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    server_->Signal(SIGTERM);
  });
  for (size_t batch = 0;; ++batch) {
    v1::StreamUpsertRequest message;
    message.set_collection("c");
    *message.mutable_documents() = MakeDocuments(batch * 10, 10);
    if (!stream->Write(message)) break;
  }
  stopper.join();
  reader.join();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server_->Wait(), 0) << server_->Log();
  Start();
  EXPECT_GE(client_->GetCollection("c")->documents(), acknowledged.load());
}

TEST_F(LimitsTest, AnIdleStreamDoesNotHoldUpTheEnd) {
  Start({"--drain_timeout_s", "100"});
  CreateCollection();
  auto stub = v1::DocumentService::NewStub(Channel());
  grpc::ClientContext context;
  auto stream = stub->StreamUpsert(&context);
  v1::StreamUpsertRequest message;
  message.set_collection("c");
  *message.mutable_documents() = MakeDocuments(0, 1);
  ASSERT_TRUE(stream->Write(message));
  v1::StreamUpsertResponse response;
  ASSERT_TRUE(stream->Read(&response));
  server_->Signal(SIGTERM);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server_->Wait(), 0);
}

TEST_F(LimitsTest, AClientThatReadsNothingIsHeldBackAndDisturbsNobody) {
  Start({"--upsert_window_messages", "2"});
  CreateCollection(v1::FLOAT_STORAGE_NONE);
  auto stub = v1::DocumentService::NewStub(Channel());
  grpc::ClientContext context;
  auto stuck = stub->StreamUpsert(&context);
  std::thread writer([&] {
    for (size_t batch = 0; batch < 2000; ++batch) {
      v1::StreamUpsertRequest message;
      message.set_collection("c");
      *message.mutable_documents() = MakeDocuments(0, 50);
      if (!stuck->Write(message)) return;
    }
  });
  for (size_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 1000 + i, 1)).ok());
    EXPECT_TRUE(client_->Search(MakeSearch("c", VectorOf(i), 3)).ok());
  }
  context.TryCancel();
  writer.join();
  (void)stuck->Finish();
  EXPECT_TRUE(client_->Search(MakeSearch("c", VectorOf(1), 3)).ok());
}

TEST_F(LimitsTest, AnAbandonedUploadCreatesNothing) {
  Start();
  auto stub = v1::CollectionService::NewStub(Channel());
  {
    grpc::ClientContext context;
    v1::CreateCollectionResponse response;
    auto writer = stub->CreateCollection(&context, &response);
    v1::CreateCollectionRequest request;
    request.mutable_config()->set_name("half");
    ASSERT_TRUE(writer->Write(request));
    request.set_model_chunk(ModelFile().substr(0, ModelFile().size() / 2));
    writer->Write(request);
    context.TryCancel();
    EXPECT_FALSE(writer->Finish().ok());
  }
  CreateCollection();  // goes through the same pool, so after it
  EXPECT_EQ(client_->GetCollection("half").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(LimitsTest, TwoServersCannotShareADirectoryOrAPort) {
  Start();
  const Outcome directory =
      RunProgram("bebr-server", {"--data_dir", Path("data"), "--listen", "127.0.0.1:0", "--metrics_listen", ""});
  EXPECT_EQ(directory.exit_code, 1) << directory.err;
  EXPECT_THAT(directory.err, HasSubstr(Path("data")));
  const Outcome port =
      RunProgram("bebr-server", {"--data_dir", Path("other"), "--listen", server_->address(), "--metrics_listen", ""});
  EXPECT_EQ(port.exit_code, 1) << port.err;
  EXPECT_THAT(port.err, HasSubstr("cannot be listened on"));
}

TEST_F(LimitsTest, WrongConfigurationStartsNothing) {
  const Outcome outcome = RunProgram("bebr-server", {"--threads", "x", "--listen", "0.0.0.0:7700"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("--threads"), HasSubstr("data_dir"), HasSubstr("allow_insecure_remote")));
  const Outcome printed = RunProgram("bebr-server", {"--data_dir", "d", "--print_config"});
  EXPECT_EQ(printed.exit_code, 0);
  EXPECT_THAT(printed.out, HasSubstr("\"listen\": \"127.0.0.1:7700\""));
}

}  // namespace
}  // namespace bebr::testing
