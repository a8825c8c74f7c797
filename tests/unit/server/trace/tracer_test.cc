// What a tracer keeps and counts; what a collector is sent, integration/trace_test.cc looks at.
#include "server/trace/tracer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

namespace bebr {
namespace {

using ::testing::HasSubstr;

constexpr const char* kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";

EndedCall CallOf(const std::string& traceparent, bool from_client, bool server_fault = false) {
  EndedCall call;
  call.traceparent = traceparent;
  call.from_client = from_client;
  call.path = "/bebr.v1.SearchService/Search";
  call.server_fault = server_fault;
  return call;
}

// Nobody listens at the collector's address: what is wanted is dropped, and counted when the tracer goes at the latest.
class TracerTest : public ::testing::Test {
 protected:
  TracerTest() {
    config_.otlp_endpoint = "127.0.0.1:1";
    auto tracer = Tracer::Create(config_, sample_percent_, &metrics_);
    EXPECT_TRUE(tracer.ok()) << tracer.status();
    tracer_ = *std::move(tracer);
  }
  double Dropped() {
    tracer_.reset();
    EXPECT_EQ(metrics_.Spans(/*sent=*/true).Value(), 0);
    return metrics_.Spans(/*sent=*/false).Value();
  }

  ServerConfig config_;
  std::atomic<uint64_t> sample_percent_ = 0;
  Metrics metrics_;
  std::unique_ptr<Tracer> tracer_;
};

TEST_F(TracerTest, AClientsFlagDecides) {
  for (const char* flags : {"00", "02", "0a", "fe"}) tracer_->Add(CallOf(std::string(kParent) + flags, true));
  for (const char* flags : {"01", "0b", "ff"}) tracer_->Add(CallOf(std::string(kParent) + flags, true));
  EXPECT_EQ(Dropped(), 3);
}

TEST_F(TracerTest, WithoutAFlagTheShareDecidesAsItIsNow) {
  const std::string own = std::string(kParent) + "01";
  for (int i = 0; i < 50; ++i) tracer_->Add(CallOf(own, false));
  sample_percent_ = 100;
  for (int i = 0; i < 20; ++i) tracer_->Add(CallOf(own, false));
  EXPECT_EQ(Dropped(), 20);
}

TEST_F(TracerTest, AServersFaultIsAlwaysKeptWithItsStages) {
  const CallStage stages[] = {{"queue", absl::ZeroDuration(), absl::Seconds(1)},
                              {"scan", absl::Seconds(1), absl::Seconds(1)}};
  const std::string parent = std::string(kParent) + "00";
  EndedCall call = CallOf(parent, true, /*server_fault=*/true);
  call.stages = stages;
  tracer_->Add(call);
  EXPECT_EQ(Dropped(), 3);
}

TEST_F(TracerTest, ACollectorThatIsAwayCostsBoundedMemory) {
  const std::string sampled = std::string(kParent) + "01";
  for (int i = 0; i < 20000; ++i) tracer_->Add(CallOf(sampled, true));
  EXPECT_EQ(Dropped(), 20000);  // at once, or when the collector did not answer; none is lost without being counted
}

TEST(Tracer, AnUnreadableAuthorityIsNamed) {
  ServerConfig config;
  config.otlp_endpoint = "127.0.0.1:1";
  config.otlp_ca_file = "/no/such/ca.pem";
  const std::atomic<uint64_t> percent = 0;
  Metrics metrics;
  const auto tracer = Tracer::Create(config, percent, &metrics);
  EXPECT_EQ(tracer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(tracer.status().message(), HasSubstr("/no/such/ca.pem"));
}

}  // namespace
}  // namespace bebr
