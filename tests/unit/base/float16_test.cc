#include "index/base/float16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace bebr {
namespace {

// The value of a half from its definition, in double, which holds every one of them exactly.
double Definition(uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  double magnitude;
  if (exponent == 31) {
    magnitude = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(mantissa, -24);
  } else {
    magnitude = std::ldexp(1024 + mantissa, exponent - 25);
  }
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(Float16Test, EveryHalfHasItsDefinedValueAndComesBack) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> bulk(halves.size());
  HalfToFloat(halves.data(), halves.size(), bulk.data());
  std::vector<uint16_t> back(halves.size());
  FloatToHalf(bulk.data(), bulk.size(), back.data());
  for (const uint16_t half : halves) {
    const double expected = Definition(half);
    const float value = HalfToFloat(half);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value) && std::isnan(bulk[half])) << half;
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value)))) << half;
      continue;
    }
    EXPECT_EQ(value, expected) << half;
    EXPECT_EQ(std::signbit(value), std::signbit(expected)) << half;
    EXPECT_EQ(std::bit_cast<uint32_t>(bulk[half]), std::bit_cast<uint32_t>(value)) << half;
    EXPECT_EQ(FloatToHalf(value), half);
    EXPECT_EQ(back[half], half);
  }
}

TEST(Float16Test, RoundsToNearestTiesToEven) {
  // Between every two neighbouring finite halves: the middle goes to the even one, anything beside it to the nearer.
  for (uint16_t low = 0; low < 0x7BFF; ++low) {
    const uint16_t high = low + 1;
    const float middle = static_cast<float>((Definition(low) + Definition(high)) / 2);
    ASSERT_EQ(middle, (Definition(low) + Definition(high)) / 2);  // a float holds it exactly
    const uint16_t even = low % 2 == 0 ? low : high;
    EXPECT_EQ(FloatToHalf(middle), even) << low;
    EXPECT_EQ(FloatToHalf(-middle), even | 0x8000) << low;
    EXPECT_EQ(FloatToHalf(std::nextafter(middle, 0.0f)), low);
    EXPECT_EQ(FloatToHalf(std::nextafter(middle, 1e9f)), high);
  }
}

TEST(Float16Test, LargeValuesBecomeInfinity) {
  EXPECT_EQ(FloatToHalf(kFloat16Max), 0x7BFF);
  EXPECT_EQ(FloatToHalf(65519.996f), 0x7BFF);  // the last float below the middle
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7C00);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::max()), 0x7C00);
  EXPECT_EQ(FloatToHalf(-std::numeric_limits<float>::infinity()), 0xFC00);
}

TEST(Float16Test, TinyValuesBecomeZeroOfTheirSign) {
  EXPECT_EQ(FloatToHalf(0x1p-25f), 0);  // the tie between 0 and the smallest subnormal
  EXPECT_EQ(FloatToHalf(std::nextafter(0x1p-25f, 1.0f)), 1);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(FloatToHalf(-0.0f), 0x8000);
}

TEST(Float16Test, BulkEqualsOneByOneAtEveryLength) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(67);
  for (float& value : values) value = normal(random) * std::ldexp(1.0f, static_cast<int>(random() % 40) - 26);
  for (size_t count = 0; count <= values.size(); ++count) {
    std::vector<uint16_t> halves(count + 1, 0xABCD);
    FloatToHalf(values.data(), count, halves.data());
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(halves[i], FloatToHalf(values[i])) << values[i];
    EXPECT_EQ(halves[count], 0xABCD);  // nothing written beyond
  }
}

}  // namespace
}  // namespace bebr
