#include "server/call/call_ids.h"

#include <gtest/gtest.h>

#include <regex>

namespace bebr {
namespace {

CallIds Read(const std::multimap<std::string, std::string>& metadata) {
  std::multimap<grpc::string_ref, grpc::string_ref> refs;
  for (const auto& [name, value] : metadata) refs.emplace(name, value);
  return ReadCallIds(refs);
}

const char* const kTraceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

// The scheme's case says nothing, and more than one space may follow it: RFC 9110, 11.1.
TEST(BearerKey, StandsBehindTheScheme) {
  const auto key = [](const std::string& value) {
    return std::string(BearerKey({{grpc::string_ref("authorization"), grpc::string_ref(value)}}));
  };
  for (const char* scheme : {"Bearer ", "bearer ", "BEARER  "}) EXPECT_EQ(key(std::string(scheme) + "Key a"), "Key a");
  for (const char* other : {"", "Bearer", "Bearer ", "Basic Key", "Bearerkey", " Bearer key"})
    EXPECT_EQ(key(other), "") << other;
  EXPECT_EQ(BearerKey({}), "");
}

TEST(CallIds, AreThoseOfTheClient) {
  const CallIds ids = Read({{"x-request-id", "order 7"}, {"traceparent", kTraceparent}});
  EXPECT_EQ(ids.traceparent, kTraceparent);
  EXPECT_EQ(ids.trace_id(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_NE(ids.request_id, "order 7");  // a space
  EXPECT_EQ(Read({{"x-request-id", "order-7"}}).request_id, "order-7");
}

TEST(CallIds, AreMadeUpWhereThereAreNone) {
  const CallIds a = Read({}), b = Read({});
  EXPECT_TRUE(std::regex_match(a.request_id, std::regex("[0-9a-f]{16}"))) << a.request_id;
  EXPECT_TRUE(std::regex_match(a.traceparent, std::regex("00-[0-9a-f]{32}-[0-9a-f]{16}-00"))) << a.traceparent;
  EXPECT_NE(a.request_id, b.request_id);
  EXPECT_NE(a.traceparent, b.traceparent);
}

TEST(CallIds, RefuseWhatIsMalformed) {
  const std::string good = kTraceparent;
  for (const std::string& bad :
       {good.substr(1), "01" + good.substr(2), good + "-x", "00-" + std::string(32, '0') + good.substr(35),
        good.substr(0, 36) + std::string(16, '0') + good.substr(52),
        "00-0AF7651916CD43DD8448EB211C80319C" + good.substr(35)}) {
    EXPECT_NE(Read({{"traceparent", bad}}).traceparent, bad);
  }
  EXPECT_EQ(Read({{"x-request-id", std::string(129, 'a')}}).request_id.size(), 16u);
  EXPECT_EQ(Read({{"x-request-id", "a\nb"}}).request_id.size(), 16u);
}

}  // namespace
}  // namespace bebr
