#include "index/types/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
namespace bebr {
namespace {

using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(ValidateIdTest, TakesOneTo512Bytes) {
  EXPECT_TRUE(ValidateId("id", "a").ok());
  EXPECT_TRUE(ValidateId("id", std::string(512, 'a')).ok());
  EXPECT_TRUE(ValidateId("id", std::string("\0\xff", 2)).ok());

  const absl::Status empty = ValidateId("documents[3].id", "");
  EXPECT_EQ(empty.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(empty), HasSubstr("documents[3].id"));

  const absl::Status longer = ValidateId("id", std::string(513, 'a'));
  EXPECT_EQ(longer.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(longer), HasSubstr("513"));
  EXPECT_THAT(Message(longer), HasSubstr("512"));
}

TEST(ValidateAttributesTest, TakesEveryType) {
  EXPECT_TRUE(ValidateAttributes("attributes", {}).ok());
  const Attributes all = {{"text", "words"}, {"count", int64_t{-1}}, {"share", 0.5}, {"new", true}};
  EXPECT_TRUE(ValidateAttributes("attributes", all).ok());
}

TEST(ValidateAttributesTest, LimitsTheCount) {
  Attributes attributes;
  for (size_t i = 0; i < kMaxAttributes; ++i) attributes[absl::StrCat("a", i)] = true;
  EXPECT_TRUE(ValidateAttributes("attributes", attributes).ok());
  attributes["more"] = true;
  const absl::Status status = ValidateAttributes("attributes", attributes);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("65"));
  EXPECT_THAT(Message(status), HasSubstr("64"));
}

TEST(ValidateAttributesTest, LimitsNames) {
  EXPECT_TRUE(ValidateAttributes("attributes", {{std::string(kMaxAttributeNameBytes, 'n'), true}}).ok());
  EXPECT_FALSE(ValidateAttributes("attributes", {{std::string(kMaxAttributeNameBytes + 1, 'n'), true}}).ok());
  EXPECT_FALSE(ValidateAttributes("attributes", {{"", true}}).ok());
}

TEST(ValidateAttributesTest, LimitsTheBytesOfNamesAndValuesTogether) {
  EXPECT_TRUE(ValidateAttributes("attributes", {{"a", std::string(kMaxAttributesBytes - 1, 'v')}}).ok());
  const absl::Status status = ValidateAttributes("attributes", {{"a", std::string(kMaxAttributesBytes, 'v')}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("1048577"));
}

TEST(ValidateAttributesTest, LimitsTheBytesThatFiltersCompare) {
  Attributes attributes;
  for (int i = 0; i < 63; ++i) attributes[absl::StrCat(10 + i)] = std::string(256, 'v');
  EXPECT_TRUE(ValidateAttributes("attributes", attributes).ok());  // 16,254 bytes
  attributes["long"] = std::string(100'000, 'v');
  EXPECT_TRUE(ValidateAttributes("attributes", attributes).ok());  // stored only
  const absl::Status status =
      ValidateAttributes("attributes", attributes, {{"long", {.storage = AttributeStorage::kIndexed}}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("116258 bytes that filters compare; the limit is 16384"));
  attributes["long"] = AttributeList(300, int64_t{7});
  EXPECT_FALSE(ValidateAttributes("attributes", attributes).ok());
  EXPECT_TRUE(ValidateAttributes("attributes", attributes, {{"long", {.storage = AttributeStorage::kStored}}}).ok());
}

TEST(TimestampTest, ReadsAndWritesRfc3339) {
  const auto parsed = [](std::string_view text) {
    return FormatTimestamp(ParseTimestamp(text).value_or(Timestamp{7}));
  };
  EXPECT_EQ(parsed("2026-01-31T12:00:00Z"), "2026-01-31T12:00:00Z");
  EXPECT_EQ(parsed("2026-01-31t12:00:00z"), "2026-01-31T12:00:00Z");
  EXPECT_EQ(parsed("2026-01-31T12:00:00.25+01:30"), "2026-01-31T10:30:00.25Z");
  EXPECT_EQ(parsed("1969-12-31T23:59:59.9999999Z"), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(parsed("0000-01-01T00:00:00Z"), "0000-01-01T00:00:00Z");
  EXPECT_EQ(parsed("9999-12-31T23:59:59Z"), "9999-12-31T23:59:59Z");
  for (const char* wrong : {"", "2026-01-31", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z", "2026-01-31 12:00:00Z",
                            "2026-01-31T12:00:00+0100", "0000-01-01T00:00:00+01:00", "infinite-future",
                            " 2026-01-31T12:00:00Z", "2026-01-31T12:00:00Zx"}) {
    EXPECT_EQ(ParseTimestamp(wrong).status().code(), absl::StatusCode::kInvalidArgument) << wrong;
  }
}

// A message that is no UTF-8 cannot be sent.
TEST(TimestampTest, MessagesShowWholeCharacters) {
  const std::string start(39, 'x');
  EXPECT_THAT(Message(ParseTimestamp(start + "\u00e9").status()), HasSubstr("\"" + start + "...\";"));
  EXPECT_THAT(Message(ParseTimestamp(start + "y\u00e9").status()), HasSubstr("\"" + start + "y...\";"));
  EXPECT_THAT(Message(ParseTimestamp("\u00e9").status()), HasSubstr("\"\u00e9\";"));
}

TEST(ConformAttributesTest, MakesValuesThoseOfTheSchema) {
  const AttributeSchema schema = {{"at", {.kind = AttributeKind::kTimestamp}},
                                  {"price", {.kind = AttributeKind::kDouble}},
                                  {"tags", {.kind = AttributeKind::kString}}};
  Attributes attributes = {{"at", std::string("2026-01-31T12:00:00Z")},
                           {"price", AttributeList{int64_t{2}, 2.5}},
                           {"tags", AttributeList{"a", "b"}},
                           {"other", true}};
  ASSERT_TRUE(ConformAttributes("attributes", schema, attributes).ok());
  EXPECT_EQ(attributes["at"], AttributeValue(*ParseTimestamp("2026-01-31T12:00:00Z")));
  EXPECT_EQ(attributes["price"], AttributeValue(AttributeList{2.0, 2.5}));
  attributes["tags"] = AttributeList{"a", int64_t{1}};
  const absl::Status status = ConformAttributes("attributes", schema, attributes);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status),
              HasSubstr("attributes[\"tags\"] is an integer; by the collection's schema it is of type string"));
}

TEST(ValidateAttributesTest, RefusesNumbersThatAreNone) {
  for (const double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()}) {
    const absl::Status status = ValidateAttributes("attributes", {{"price", value}});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(status), HasSubstr("price"));
  }
}

}  // namespace
}  // namespace bebr
