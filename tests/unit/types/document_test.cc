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
  EXPECT_THAT(Message(status), HasSubstr("16385"));
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
