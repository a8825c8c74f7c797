#include "index/fit/shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace bebr {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

std::vector<double> Falling(size_t dims, double power) {
  std::vector<double> variances;
  for (size_t i = 0; i < dims; ++i) variances.push_back(std::pow(1.0 + static_cast<double>(i), -power));
  return variances;
}

TEST(ShapesTest, EveryCandidateHasExactlyTheBudget) {
  for (const size_t dims : {5, 32, 100, 256, 784}) {
    for (const size_t bits : {8, 12, 64, 96, 128, 256, 392, 512, 784, 1568, 4096}) {
      const auto shapes = CandidateShapes(Falling(dims, 0.8), dims, bits, 4);
      if (!shapes.ok()) continue;
      for (const CodeSpec& shape : *shapes) {
        EXPECT_EQ(shape.bits(), bits) << shape.ToString() << " for " << dims;
        if (shape.bands().size() > 1) {
          EXPECT_LE(shape.dims(), dims);
        }
        for (const CodeSpec& near : NeighborShapes(shape, dims, 4)) {
          EXPECT_EQ(near.bits(), bits) << near.ToString();
          EXPECT_LE(near.dims(), std::max<size_t>(dims, shape.dims()));
        }
      }
    }
  }
}

TEST(ShapesTest, PlainAndMixedShapesAreTried) {
  const auto shapes = CandidateShapes(Falling(256, 0.9), 256, 512, 4);
  ASSERT_TRUE(shapes.ok());
  std::vector<std::string> names;
  bool mixed = false;
  for (const CodeSpec& shape : *shapes) {
    names.push_back(shape.ToString());
    mixed = mixed || shape.bands().size() > 1;
  }
  EXPECT_THAT(names, Contains("256x2"));
  EXPECT_THAT(names, Contains("128x4"));
  EXPECT_TRUE(mixed);
}

TEST(ShapesTest, BudgetOutOfRangeIsNamed) {
  EXPECT_THAT(std::string(CandidateShapes(Falling(64, 1.0), 64, 7, 4).status().message()), HasSubstr("7 bits"));
  EXPECT_THAT(std::string(CandidateShapes(Falling(64, 1.0), 64, 32769, 4).status().message()), HasSubstr("32768"));
}

}  // namespace
}  // namespace bebr
