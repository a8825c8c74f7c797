#include "index/code/code_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
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

// The derived code's value of every dimension, from the branches of itself and of the three before it in its word.
TEST(CodeSpecTest, TrellisCodesAreScoredByDerivedOnes) {
  const CodeSpec spec = *ParseCodeSpec("40x1t+33x2+65x3t+7x4+31x2t");
  EXPECT_EQ(spec.ToString(), "40x1t+33x2+65x3t+7x4+31x2t");
  EXPECT_EQ(spec.bits(), 40u + 66 + 195 + 28 + 62);
  EXPECT_EQ(spec.code_words(), 2u + 4 + 9 + 4 + 2);
  EXPECT_EQ(spec.derived_words(), 4u + 4 + 12 + 4 + 3);
  const CodeSpec derived = spec.Derived();
  EXPECT_EQ(derived, *ParseCodeSpec("40x2+33x2+65x4+7x4+31x3"));
  EXPECT_EQ(derived.code_words(), spec.derived_words());
  EXPECT_EQ(derived.bits(), 80u + 66 + 260 + 28 + 93);
  EXPECT_EQ(derived.max_levels(), 4u);
  EXPECT_FALSE(derived.trellis());
  std::mt19937 random(1);
  std::vector<uint32_t> code(spec.code_words()), words(spec.derived_words());
  for (uint32_t& word : code) word = random();
  size_t at = 0;
  for (const Band& band : spec.bands()) {  // padding is zero
    for (uint32_t w = 0; w < band.levels * CodeSpec::PlaneWords(band.dims); ++w, ++at) {
      const uint32_t used = band.dims - w % CodeSpec::PlaneWords(band.dims) * 32;
      if (used < 32) code[at] &= (1u << used) - 1;
    }
  }
  spec.Derive(code.data(), words.data());
  const uint32_t *stored = code.data(), *scored = words.data();
  for (const Band& band : spec.bands()) {
    const uint32_t plane = CodeSpec::PlaneWords(band.dims);
    const auto bit = [&](const uint32_t* planes, uint32_t level, uint32_t i) {
      return planes[level * plane + i / 32] >> (i % 32) & 1u;
    };
    for (uint32_t i = 0; i < plane * 32; ++i) {
      uint32_t expected = 0, value = 0;
      for (uint32_t t = 0; t < band.derived_levels(); ++t) value = 2 * value + bit(scored, t, i);
      const auto branch = [&](uint32_t before) {
        return i % 32 < before ? 0u : bit(stored, band.levels - 1, i - before);
      };
      for (uint32_t t = 0; t + (band.trellis ? 1 : 0) < band.levels; ++t) expected = 2 * expected + bit(stored, t, i);
      if (band.trellis) expected = 4 * expected + 2 * (branch(0) ^ branch(1) ^ branch(3)) + branch(2);
      ASSERT_EQ(value, i < band.dims ? expected : 0u) << ToString(band) << ", dim " << i;
    }
    stored += plane * band.levels;
    scored += plane * band.derived_levels();
  }
}

TEST(CodeSpecTest, TheWorkedExampleOfTrellisCodes) {
  const uint32_t branches = 0x03;
  uint32_t planes[2];
  ParseCodeSpec("8x1t")->Derive(&branches, planes);
  EXPECT_EQ(planes[0], 0x1du);
  EXPECT_EQ(planes[1], 0x0cu);
}

TEST(CodeSpecTest, TrellisCodesHaveFewEnoughLevels) {
  EXPECT_THAT(Refusal({{32, 4, 1.0f, true}}), HasSubstr("trellis-coded with 4 levels; such a band has 1 to 3"));
  for (const char* text : {"32x4t", "32xt", "32x2tt", "32x2u", "t", "32t"}) {
    EXPECT_FALSE(ParseCodeSpec(text).ok()) << text;
  }
  EXPECT_EQ(ParseCodeSpec("32x2")->Derived(), *ParseCodeSpec("32x2"));
  EXPECT_FALSE(*ParseCodeSpec("32x2") == *ParseCodeSpec("32x2t"));
}

}  // namespace
}  // namespace bebr
