#include "client/cli/attribute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace bebr {
namespace {

using ::testing::HasSubstr;

TEST(AttributeTest, IsWhatJsonSaysOrElseText) {
  const auto read = [](const std::string& text) {
    v1::AttributeValue value;
    const absl::Status status = ReadAttribute("a", text, &value);
    EXPECT_TRUE(status.ok()) << status;
    return value.ShortDebugString();
  };
  EXPECT_EQ(read("7"), "int_value: 7");
  EXPECT_EQ(read("1.5"), "double_value: 1.5");
  EXPECT_EQ(read("true"), "bool_value: true");
  EXPECT_EQ(read("\"7\""), "string_value: \"7\"");
  EXPECT_EQ(read("plain words"), "string_value: \"plain words\"");
  EXPECT_EQ(read("\"9223372036854775808\""), "string_value: \"9223372036854775808\"");
  EXPECT_EQ(read("1e20"), "double_value: 1e+20");
  EXPECT_EQ(read("\"null\""), "string_value: \"null\"");
  EXPECT_EQ(read("[]"), "list_value { }");
  EXPECT_EQ(read("[\"a\", 2]"), "list_value { values { string_value: \"a\" } values { int_value: 2 } }");
  EXPECT_EQ(read("{\"timestamp\": \"2026-01-31T13:00:00+01:00\"}"), "timestamp_value: \"2026-01-31T12:00:00Z\"");
  v1::AttributeValue value;
  EXPECT_THAT(std::string(ReadAttribute("a", "{\"b\": 1}", &value).message()), HasSubstr("a={\"b\": 1}: \"a\" is or"));
  EXPECT_FALSE(ReadAttribute("a", "[[1]]", &value).ok());
  EXPECT_THAT(std::string(ReadAttribute("a", "[1, 99999999999999999999]", &value).message()),
              HasSubstr("\"a\" is a whole number beyond 64 bits"));
}

TEST(AttributeTest, IsUtf8) {
  v1::AttributeValue value;
  absl::Status status = ReadAttribute("\xff", "1", &value);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\\xff=1 is not UTF-8"));
  status = ReadAttribute("a", "\xff", &value);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("a=\\xff is not UTF-8"));
}

TEST(AttributeTest, RulesAreReadAndWritten) {
  for (const char* text : {"at:timestamp", "body:stored", "title:string:indexed", "n:double:stored"}) {
    v1::AttributeRule rule;
    const absl::Status status = ReadRule(text, &rule);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(WriteRule(rule), text);
  }
  for (const char* text : {"at", "at:", "at:date", "at:stored:string", "at:string:int", "at:string:stored:x", ""}) {
    v1::AttributeRule rule;
    EXPECT_EQ(ReadRule(text, &rule).code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace bebr
