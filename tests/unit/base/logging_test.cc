#include "index/base/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace bebr {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// What `write` logs, to standard error.
template <typename Write>
std::string Logged(bool json, Write write) {
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(InitLogging("info", json));
  write();
  std::string text = ::testing::internal::GetCapturedStderr();
  InitLogging("info");
  return text;
}

TEST(LogEvent, IsFieldsAsText) {
  const std::string text = Logged(false, [] {
    LogEvent(LogLevel::kWarning, "slow_query",
             {{"collection", "a b\n\"c\""}, {"total_us", 12}, {"peer", "ipv4:1.2.3.4:5"}});
  });
  EXPECT_THAT(text, EndsWith(" warning slow_query collection=\"a b\\n\\\"c\\\"\" total_us=12 peer=ipv4:1.2.3.4:5\n"));
}

TEST(LogEvent, IsAnObjectAsJson) {
  const std::string text = Logged(true, [] {
    LogEvent(LogLevel::kInfo, "audit", {{"key", "a\x01\\\xc3\xa4"}, {"total_us", -3}});
  });
  EXPECT_THAT(text, StartsWith("{\"time\": \"2"));
  EXPECT_THAT(text, EndsWith("\"level\": \"info\", \"event\": \"audit\", \"key\": \"a\\u0001\\\\\\u00e4\", "
                             "\"total_us\": -3}\n"));
}

TEST(InitLogging, WritesMessagesAsJson) {
  const std::string text = Logged(true, [] {
    LogError("cannot \"{}\"", "do\tit");
    LogInfo("next");
  });
  EXPECT_THAT(text, HasSubstr("\"level\": \"error\", \"message\": \"cannot \\\"do\\tit\\\"\"}\n{\"time\""));
  EXPECT_FALSE(InitLogging("loud"));
}

}  // namespace
}  // namespace bebr
