#include "index/binarizer/byte_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace bebr {
namespace {

TEST(ByteRowsTest, ValuesAreOffByAtMostHalfAScaleAndStayAfterwards) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (const size_t columns : {1u, 3u, 168u}) {
    for (const float size : {1e-25f, 1e-6f, 1.0f, 1e30f}) {
      std::vector<float> values(40 * columns);
      for (float& value : values) value = size * normal(random);
      const ByteRows rows = ToByteRows(values, columns);
      ASSERT_EQ(rows.scales.size(), 40u);
      std::vector<float> rounded = FromByteRows(rows, columns);
      for (size_t i = 0; i < values.size(); ++i) {
        const float scale = rows.scales[i / columns];
        EXPECT_NEAR(rounded[i], values[i], scale * 0.504f);
        EXPECT_GE(rows.bytes[i], -128.0f);
        EXPECT_LE(rows.bytes[i], 127.0f);
      }
      const ByteRows again = ToByteRows(rounded, columns);
      EXPECT_EQ(again.bytes, rows.bytes);
      EXPECT_EQ(again.scales, rows.scales);
      RoundToByteRows(values, columns);
      EXPECT_EQ(values, rounded);
    }
  }
}

TEST(ByteRowsTest, RowsOfNextToNothingAndOfTheLargestFloats) {
  const float largest = std::numeric_limits<float>::max();
  const ByteRows rows = ToByteRows({0, 0, 1e-31f, -1e-40f, largest, -largest}, 2);
  EXPECT_EQ(rows.scales[0], 0.0f);
  EXPECT_EQ(rows.scales[1], 0.0f);
  const std::vector<float> values = FromByteRows(rows, 2);
  EXPECT_EQ(std::vector<float>(values.begin(), values.begin() + 4), std::vector<float>(4, 0.0f));
  EXPECT_TRUE(std::isfinite(values[4]));
  EXPECT_EQ(values[4], -values[5]);
  EXPECT_NEAR(values[4] / largest, 1.0f, 1e-4f);
}

}  // namespace
}  // namespace bebr
