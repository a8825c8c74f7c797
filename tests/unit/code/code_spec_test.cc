#include "index/code/code_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace bebr {
namespace {

using ::testing::HasSubstr;

std::string Refusal(std::vector<Band> bands) {
  const absl::StatusOr<CodeSpec> spec = CodeSpec::Create(std::move(bands));
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(spec.status().message());
}

TEST(CodeSpecTest, CountsBitsAndWords) {
  const CodeSpec spec = *CodeSpec::Create({{32, 4, 1.0f}, {64, 3, 0.5f}, {97, 2, 2.0f}});
  EXPECT_EQ(spec.dims(), 193u);
  EXPECT_EQ(spec.max_levels(), 4u);
  EXPECT_EQ(spec.bits(), 32u * 4 + 64 * 3 + 97 * 2);
  EXPECT_EQ(spec.code_words(), 1u * 4 + 2 * 3 + 4 * 2);  // 97 dims take 4 words a level
  EXPECT_EQ(spec.QueryWords(4), (1u + 2 + 4) * 4);
  EXPECT_EQ(spec.QueryWords(1), 7u);
  EXPECT_EQ(spec.ToString(), "32x4+64x3+97x2");
}

TEST(CodeSpecTest, PlaneWordsRoundUp) {
  EXPECT_EQ(CodeSpec::PlaneWords(1), 1u);
  EXPECT_EQ(CodeSpec::PlaneWords(32), 1u);
  EXPECT_EQ(CodeSpec::PlaneWords(33), 2u);
  EXPECT_EQ(CodeSpec::PlaneWords(8192), 256u);
}

TEST(CodeSpecTest, TakesItsLimits) {
  EXPECT_TRUE(CodeSpec::Create({{8192, 4, 1.0f}}).ok());
  EXPECT_TRUE(CodeSpec::Create({{8, 1, 1.0f}}).ok());
  EXPECT_TRUE(CodeSpec::Create(std::vector<Band>(8, Band{1024, 1, 1.0f})).ok());
}

TEST(CodeSpecTest, RefusesWhatIsBeyondThemWithTheValue) {
  EXPECT_THAT(Refusal({}), HasSubstr("0 bands"));
  EXPECT_THAT(Refusal(std::vector<Band>(9, Band{64, 1, 1.0f})), HasSubstr("9 bands"));
  EXPECT_THAT(Refusal({{0, 1, 1.0f}}), HasSubstr("0 dims"));
  EXPECT_THAT(Refusal({{8193, 1, 1.0f}}), HasSubstr("8193"));
  EXPECT_THAT(Refusal({{8000, 1, 1.0f}, {193, 1, 1.0f}}), HasSubstr("8193"));
  EXPECT_THAT(Refusal({{64, 0, 1.0f}}), HasSubstr("0 levels"));
  EXPECT_THAT(Refusal({{64, 5, 1.0f}}), HasSubstr("5 levels"));
  EXPECT_THAT(Refusal({{7, 1, 1.0f}}), HasSubstr("7 bits"));
  for (const float weight :
       {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_THAT(Refusal({{64, 1, weight}}), HasSubstr("weight"));
  }
}

TEST(CodeSpecTest, EqualMeansSameBandsAndWeights) {
  EXPECT_EQ(*CodeSpec::Create({{64, 2, 1.0f}}), *CodeSpec::Create({{64, 2, 1.0f}}));
  EXPECT_FALSE(*CodeSpec::Create({{64, 2, 1.0f}}) == *CodeSpec::Create({{64, 2, 1.5f}}));
  EXPECT_FALSE(*CodeSpec::Create({{64, 2, 1.0f}}) == *CodeSpec::Create({{128, 1, 1.0f}}));
}

TEST(ParseCodeSpecTest, ReadsWhatToStringWrites) {
  for (const char* text : {"128x4", "32x4+64x3+96x2", "8x1"}) {
    const absl::StatusOr<CodeSpec> spec = ParseCodeSpec(text);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->ToString(), text);
    for (const Band& band : spec->bands()) EXPECT_EQ(band.weight, 1.0f);
  }
}

TEST(ParseCodeSpecTest, RefusesOtherText) {
  for (const char* text :
       {"", "128", "x", "128x", "x4", "128x4+", "128x4x2", "-128x4", "a4xb", "99999999999x1", "128x9"}) {
    EXPECT_EQ(ParseCodeSpec(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace bebr
