#include "server/http/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "bebr/v1/search.pb.h"
#include "bebr/v1/types.pb.h"
#include "nlohmann/json.hpp"

namespace bebr {
namespace {

using ::testing::HasSubstr;

TEST(Json, EmptyTextIsTheEmptyMessage) {
  const auto wire = JsonToWire(*v1::SearchRequest::descriptor(), "");
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(*wire, "");
}

TEST(Json, NamesAreOfBothKindsAndLongNumbersAreText) {
  for (const char* json : {R"({"version": "v", "firstLevels": 2})", R"({"version": "v", "first_levels": 2})"}) {
    const auto wire = JsonToWire(*v1::SearchOptions::descriptor(), json);
    ASSERT_TRUE(wire.ok()) << wire.status();
    v1::SearchOptions options;
    ASSERT_TRUE(options.ParseFromString(*wire));
    EXPECT_EQ(options.version(), "v");
    EXPECT_EQ(options.first_levels(), 2u);
  }
  v1::AttributeValue value;
  value.set_int_value(9007199254740993);  // no double is this number
  const auto json = WireToJson(*v1::AttributeValue::descriptor(), value.SerializeAsString());
  ASSERT_TRUE(json.ok());
  EXPECT_THAT(*json, HasSubstr("\"9007199254740993\""));
  const auto back = JsonToWire(*v1::AttributeValue::descriptor(), *json);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, value.SerializeAsString());
}

TEST(Json, WhatIsWrongIsNamedInPrintableText) {
  const auto unknown = JsonToWire(*v1::SearchRequest::descriptor(), R"({"colection": "c"})");
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(unknown.status().message(), HasSubstr("colection"));
  const std::string texts[] = {"{",
                               "[]",
                               "nul",
                               "{\"options\": {\"k\": -1}}",
                               "{\"options\": {\"k\": 1e99}}",
                               "{\"collection\": \"\xff\"}",
                               std::string("{\"\0\": 1}", 8),
                               std::string(100000, '[')};
  for (const std::string& bad : texts) {
    const auto wire = JsonToWire(*v1::SearchRequest::descriptor(), bad);
    ASSERT_FALSE(wire.ok()) << bad.substr(0, 40);
    EXPECT_EQ(wire.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_LT(wire.status().message().size(), 500u);
    EXPECT_TRUE(nlohmann::json(std::string(wire.status().message())).dump().size() > 0);  // throws if it is not UTF-8
  }
}

TEST(Json, DepthIsBounded) {
  const google::protobuf::Descriptor& search = *v1::SearchRequest::descriptor();
  // Not for brackets in a text.
  EXPECT_TRUE(JsonToWire(search, "{\"collection\": \"\\\"" + std::string(1000, '[') + "\"}").ok());
  for (const std::string piece : {"[", "{\"a\":[", "[[],"}) {
    std::string json = "{\"query\": {\"values\": ";
    for (int i = 0; i < 100000; ++i) json += piece;
    const absl::Status status = JsonToWire(search, json).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("deep in each other; the limit is 200")) << piece;
  }
  // Either quote begins a text, in which the other one means nothing.
  const std::string arrays(1000, '[');
  for (const std::string text : {"'\"'", "\"'\"", "'\\'\"'", "\"\\\"'\""}) {
    EXPECT_TRUE(JsonToWire(search, "{'collection': " + text + "}").ok()) << text;
    const absl::Status status =
        JsonToWire(search, "{'collection': " + text + ", 'query': {'values': " + arrays).status();
    EXPECT_THAT(std::string(status.message()), HasSubstr("deep in each other")) << text;
  }
  EXPECT_TRUE(JsonToWire(search, "{'collection': '\"" + arrays + "'}").ok());
  EXPECT_TRUE(JsonToWire(search, "{\"collection\": \"'" + arrays + "\"}").ok());
}

}  // namespace
}  // namespace bebr
