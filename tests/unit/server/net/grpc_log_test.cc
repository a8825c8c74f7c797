#include "server/net/grpc_log.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

// Whoever reaches the port decides how many errors gRPC has and what stands in them.
TEST(GrpcLog, ErrorsOfOthersFillNoDisk) {
  std::ostringstream out;
  const auto before = spdlog::default_logger();
  auto logger = std::make_shared<spdlog::logger>("grpc", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  logger->set_pattern("%v");
  spdlog::set_default_logger(logger);
  LogGrpcLines();
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);  // as gRPC does when it begins
  const std::string text(5000, 'x');
  for (int i = 0; i < 10000; ++i) gpr_log(GPR_ERROR, "%s", text.c_str());
  const std::string first = out.str();
  // One comes through again after a while, and tells of the others.
  for (int i = 0; i < 2000 && out.str() == first; ++i) {
    absl::SleepFor(absl::Milliseconds(5));
    gpr_log(GPR_ERROR, "the next");
  }
  spdlog::set_default_logger(before);
  const std::vector<std::string> lines = absl::StrSplit(first, '\n', absl::SkipEmpty());
  ASSERT_FALSE(lines.empty());
  EXPECT_THAT(lines[0], HasSubstr("gRPC: xxx"));
  EXPECT_GE(lines.size(), 100);
  EXPECT_LT(lines.size(), 5000);  // beside those of the seconds that the loop takes
  for (const std::string& line : lines) EXPECT_LT(line.size(), 600);
  EXPECT_THAT(out.str().substr(first.size()), HasSubstr("were too many a second for the log"));
  EXPECT_THAT(out.str(), HasSubstr("gRPC: the next (grpc_log_test.cc:"));
}

}  // namespace
}  // namespace bebr
