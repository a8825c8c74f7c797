// Calls as spans, taken by a collector in this process.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "index/base/mutex.h"
#include "otlp/traces.pb.h"
#include "tests/integration/tls_fixture.h"
#include "tests/support/until.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;
using Attributes = std::map<std::string, std::string>;

// Keeps what is exported. With `silent` it answers nothing.
class Collector final : public grpc::CallbackGenericService {
 public:
  explicit Collector(bool silent = false,
                     const std::shared_ptr<grpc::ServerCredentials>& credentials = grpc::InsecureServerCredentials())
      : silent_(silent) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
  }
  ~Collector() override { server_->Shutdown(std::chrono::system_clock::now()); }

  std::string address() const { return "localhost:" + std::to_string(port_); }
  size_t exports() {
    MutexLock lock(&mutex_);
    return exports_.size();
  }
  // The spans so far, of which there must be `count` in the end.
  std::vector<otlp::Span> Await(size_t count) {
    std::vector<otlp::Span> spans;
    Until([&] {
      spans.clear();
      MutexLock lock(&mutex_);
      for (const auto& request : exports_) {
        const auto& scope = request.resource_spans(0).scope_spans(0);
        spans.insert(spans.end(), scope.spans().begin(), scope.spans().end());
      }
      return spans.size() >= count;
    });
    return spans;
  }

 private:
  class Export final : public grpc::ServerGenericBidiReactor {
   public:
    Export(Collector* collector, bool known) : collector_(collector) {
      known ? StartRead(&bytes_) : Finish({grpc::StatusCode::UNIMPLEMENTED, "no such method"});
    }
    void OnReadDone(bool ok) override {
      otlp::ExportRequest request;
      if (!ok || !grpc::SerializationTraits<otlp::ExportRequest>::Deserialize(&bytes_, &request).ok())
        return Finish({grpc::StatusCode::INVALID_ARGUMENT, "no request"});
      {
        MutexLock lock(&collector_->mutex_);
        collector_->exports_.push_back(std::move(request));
      }
      if (collector_->silent_) return;  // until it is cancelled
      bytes_ = grpc::ByteBuffer();
      bool own = false;
      grpc::SerializationTraits<otlp::ExportResponse>::Serialize(otlp::ExportResponse(), &bytes_, &own);
      StartWriteAndFinish(&bytes_, grpc::WriteOptions(), grpc::Status::OK);
    }
    void OnCancel() override {
      if (collector_->silent_) Finish(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

   private:
    Collector* const collector_;
    grpc::ByteBuffer bytes_;
  };
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    return new Export(this, context->method() == "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
  }

  const bool silent_;
  int port_ = 0;
  Mutex mutex_;
  std::vector<otlp::ExportRequest> exports_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

Attributes AttributesOf(const otlp::Span& span) {
  Attributes attributes;
  for (const auto& attribute : span.attributes()) {
    const otlp::Value& value = attribute.value();
    attributes[attribute.key()] = value.has_int_value() ? std::to_string(value.int_value()) : value.string_value();
  }
  return attributes;
}

std::string ReadBack(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class TraceTest : public TlsTest {
 protected:
  grpc::Status Search(const std::string& traceparent, const std::string& collection = "c") {
    auto stub = v1::SearchService::NewStub(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    if (!traceparent.empty()) context.AddMetadata("traceparent", traceparent);
    context.AddMetadata("x-request-id", "order-7");
    v1::SearchResponse response;
    return stub->Search(&context, MakeSearch(collection, VectorOf(1), 3), &response);
  }
};

constexpr const char* kTrace = "0af7651916cd43dd8448eb211c80319c";

TEST_F(TraceTest, CallsOfSampledTracesAreSpans) {
  Collector collector;
  Start({"--otlp_endpoint", collector.address(), "--otlp_sample_percent", "0"});
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 10)).ok());
  const std::string parent = std::string("00-") + kTrace + "-b7ad6b7169203331-";
  EXPECT_TRUE(Search("").ok());             // of no trace
  EXPECT_TRUE(Search(parent + "00").ok());  // of one that nobody wants
  EXPECT_TRUE(Search(parent + "01").ok());
  EXPECT_FALSE(Search(parent + "03", "none").ok());
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);  // what waits is sent first
  std::vector<otlp::Span> spans, stages;
  for (const otlp::Span& span : collector.Await(5))
    (span.kind() == otlp::Span::KIND_SERVER ? spans : stages).push_back(span);
  ASSERT_EQ(spans.size(), 2u);
  const otlp::Span& span = spans[0];
  EXPECT_EQ(absl::BytesToHexString(span.trace_id()), kTrace);
  EXPECT_EQ(absl::BytesToHexString(span.parent_span_id()), "b7ad6b7169203331");
  EXPECT_EQ(span.span_id().size(), 8u);
  EXPECT_NE(span.span_id(), spans[1].span_id());
  EXPECT_EQ(span.name(), "bebr.v1.SearchService/Search");
  EXPECT_EQ(span.kind(), otlp::Span::KIND_SERVER);
  EXPECT_LE(span.start_time_unix_nano(), span.end_time_unix_nano());
  EXPECT_EQ(span.status().code(), otlp::Status::CODE_UNSET);
  Attributes attributes = AttributesOf(span);
  EXPECT_EQ(attributes["rpc.service"], "bebr.v1.SearchService");
  EXPECT_EQ(attributes["rpc.method"], "Search");
  EXPECT_EQ(attributes["rpc.grpc.status_code"], "0");
  EXPECT_EQ(attributes["bebr.collection"], "c");
  EXPECT_EQ(attributes["bebr.key"], "none");
  EXPECT_EQ(attributes["bebr.request_id"], "order-7");
  EXPECT_EQ(attributes["bebr.queries"], "1");
  EXPECT_EQ(attributes["bebr.documents_scanned"], "10");
  EXPECT_EQ(attributes.count("bebr.scan_us"), 1u);
  // Where its time went: spans below it, one after the other and within it.
  ASSERT_EQ(stages.size(), 3u);
  uint64_t end = span.start_time_unix_nano();
  for (size_t i = 0; i < stages.size(); ++i) {
    EXPECT_EQ(stages[i].name(), std::vector<std::string>({"queue", "encode", "scan"})[i]);
    EXPECT_EQ(stages[i].trace_id(), span.trace_id());
    EXPECT_EQ(stages[i].parent_span_id(), span.span_id());
    EXPECT_EQ(stages[i].span_id().size(), 8u);
    EXPECT_GE(stages[i].start_time_unix_nano(), end);
    end = stages[i].end_time_unix_nano();
    EXPECT_LE(end, span.end_time_unix_nano());
  }
  // What the caller did wrong is no error of the server.
  EXPECT_EQ(AttributesOf(spans[1])["rpc.grpc.status_code"], "5");
  EXPECT_EQ(spans[1].status().code(), otlp::Status::CODE_UNSET);
}

TEST_F(TraceTest, AllWritesHaveSpansOfWhereTheirTimeWent) {
  Collector collector;
  Start({"--otlp_endpoint", collector.address(), "--otlp_sample_percent", "100"});
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 10)).ok());
  v1::UpdateAttributesRequest update;
  update.set_collection("c");
  update.add_ids("0");
  (*update.mutable_set())["a"].set_int_value(1);
  ASSERT_TRUE(client_->UpdateAttributes(update).ok());
  v1::DeleteRequest by_id, by_filter;
  by_id.set_collection("c");
  by_id.add_ids("0");
  ASSERT_TRUE(client_->Delete(by_id).ok());
  by_filter.set_collection("c");
  by_filter.set_filter("id >= ''");
  ASSERT_TRUE(client_->Delete(by_filter).ok());
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);
  std::vector<std::string> names;
  for (const otlp::Span& span : collector.Await(13)) names.push_back(span.name());
  EXPECT_THAT(names,
              ::testing::ElementsAre("bebr.v1.CollectionService/CreateCollection", "bebr.v1.DocumentService/Upsert",
                                     "queue", "commit", "bebr.v1.DocumentService/UpdateAttributes", "queue", "commit",
                                     "bebr.v1.DocumentService/Delete", "queue", "commit",
                                     "bebr.v1.DocumentService/Delete", "queue", "commit"));
}

TEST_F(TraceTest, OthersAreSampledByTheServer) {
  Collector collector;
  Start({"--otlp_endpoint", collector.address(), "--otlp_sample_percent", "100"});
  EXPECT_TRUE(client_->ListCollections().ok());
  const auto spans = collector.Await(1);
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].trace_id().size(), 16u);
  EXPECT_EQ(spans[0].parent_span_id(), "");
}

TEST_F(TraceTest, OverTlsToACollectorThatTheAuthoritySigned) {
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({ReadBack(Path("server.key")), ReadBack(Path("server.pem"))});
  Collector collector(/*silent=*/false, grpc::SslServerCredentials(options));
  MakeAuthority("other");
  for (const char* authority : {"other.pem", "ca.pem"}) {
    Start({"--otlp_endpoint", collector.address(), "--otlp_sample_percent", "100", "--otlp_ca_file", Path(authority)});
    EXPECT_TRUE(client_->ListCollections().ok());
    server_->Signal(SIGTERM);
    EXPECT_EQ(server_->Wait(), 0);
    EXPECT_EQ(collector.exports(), std::string(authority) == "ca.pem" ? 1u : 0u) << authority;
  }
  Start({"--otlp_endpoint", collector.address(), "--otlp_sample_percent", "100", "--otlp_ca_file", Path("ca.pem")});
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 10)).ok());
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);
  std::vector<std::string> names;
  for (const otlp::Span& span : collector.Await(5)) names.push_back(span.name());
  EXPECT_THAT(names, ::testing::ElementsAre("bebr.v1.CollectionService/ListCollections",
                                            "bebr.v1.CollectionService/CreateCollection",
                                            "bebr.v1.DocumentService/Upsert", "queue", "commit"));
}

TEST_F(TraceTest, ACollectorThatDoesNotAnswerHoldsUpNobody) {
  Collector collector(/*silent=*/true);
  Start({"--otlp_endpoint", collector.address(), "--otlp_sample_percent", "100"});
  while (collector.exports() == 0) EXPECT_TRUE(client_->ListCollections().ok());
  // More than the queue takes, while the first export waits or after it was given up.
  const auto dropped = [&] {
    const std::string metrics = server_->HttpGet("/metrics"), name = "bebr_spans_total{result=\"dropped\"} ";
    return metrics.find(name + "0\n") == std::string::npos && metrics.find(name) != std::string::npos;
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!dropped() && std::chrono::steady_clock::now() < deadline)
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(client_->ListCollections().ok());
  EXPECT_TRUE(dropped());
  EXPECT_THAT(server_->HttpGet("/metrics"), HasSubstr("bebr_spans_total{result=\"sent\"} 0\n"));
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0);
}

}  // namespace
}  // namespace bebr::testing
