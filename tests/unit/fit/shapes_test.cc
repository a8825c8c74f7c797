#include "index/fit/shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
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
    for (const size_t bits : {8, 12, 64, 96, 121, 128, 248, 256, 371, 392, 504, 505, 512, 784, 1568, 4096}) {
      const uint32_t max_levels = bits % 64 == 0 ? kMaxPlanLevels : kMaxLevels;
      const auto shapes = CandidateShapes(Falling(dims, 0.8), dims, bits, max_levels);
      if (!shapes.ok()) continue;
      for (const LevelPlan& shape : *shapes) {
        EXPECT_EQ(shape.bits(), bits) << shape.ToString() << " for " << dims;
        if (shape.runs().size() > 1) {
          EXPECT_LE(shape.dims(), dims);
        }
        for (const LevelPlan& near : NeighborShapes(shape, dims, max_levels)) {
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
  for (const LevelPlan& shape : *shapes) {
    names.push_back(shape.ToString());
    mixed = mixed || shape.runs().size() > 1;
  }
  EXPECT_THAT(names, Contains("256x2"));
  EXPECT_THAT(names, Contains("128x4"));
  EXPECT_TRUE(mixed);
}

// Of budgets between whole words: all planes but one are.
TEST(ShapesTest, ShapesOfWholeWordsAreTried) {
  for (const bool trellis : {false, true}) {
    for (const size_t bits : {504, 505}) {
      const auto shapes = CandidateShapes(Falling(160, 0.6), 160, bits, kMaxPlanLevels, trellis);
      ASSERT_TRUE(shapes.ok());
      size_t found = 0;
      for (const LevelPlan& shape : *shapes) {
        std::vector<uint32_t> planes(kMaxPlanLevels, 0);
        for (const LevelPlan::Run& run : shape.runs()) {
          for (uint32_t level = 0; level < run.levels; ++level) planes[level] += run.dims;
        }
        const auto odd = std::count_if(planes.begin(), planes.end(), [](uint32_t dims) { return dims % 32 != 0; });
        found += shape.runs().size() > 1 && odd == 1 ? 1 : 0;
      }
      EXPECT_GE(found, 3u) << bits;
    }
  }
}

// Of bits that are no whole words: a shape that reads no word more, though each of its levels lacks some dims.
TEST(ShapesTest, ShapesThatLackInAllLevelsAreTried) {
  for (const size_t bits : {122, 249, 505}) {
    const auto shapes = CandidateShapes(Falling(160, 0.6), 160, bits, kMaxPlanLevels, /*trellis=*/true);
    ASSERT_TRUE(shapes.ok());
    EXPECT_TRUE(std::any_of(shapes->begin(), shapes->end(), [&](const LevelPlan& shape) {
      size_t words = 0, whole = 0;
      for (const LevelPlan::Run& run : shape.runs()) {
        words += CodeSpec::PlaneWords(run.dims) * run.levels;
        whole += run.dims % 32 == 0 && run.levels > 1 ? 1 : 0;
      }
      return shape.runs().size() > 1 && words == (bits + 31) / 32 && whole < shape.runs().size() - 1;
    })) << bits;
  }
}

// Few components hold nearly all of the variance: they get more levels than a band has, in few enough bands.
TEST(ShapesTest, SteepSpectraHaveMoreLevels) {
  for (const size_t bits : {196, 392, 784, 1568}) {
    const auto shapes = CandidateShapes(Falling(784, 1.8), 784, bits, kMaxPlanLevels);
    ASSERT_TRUE(shapes.ok());
    EXPECT_TRUE(std::any_of(shapes->begin(), shapes->end(), [](const LevelPlan& shape) {
      return shape.max_levels() > kMaxLevels && shape.runs().size() > 2;
    })) << bits;
  }
}

// What four levels have a shape for, more have too.
TEST(ShapesTest, FurtherLevelsRefuseNoBudget) {
  for (const size_t dims : {5, 16, 32, 100}) {
    for (size_t bits = 8; bits <= 1024; ++bits) {
      if (!CandidateShapes(Falling(dims, 0.8), dims, bits, kMaxLevels).ok()) continue;
      EXPECT_TRUE(CandidateShapes(Falling(dims, 0.8), dims, bits, kMaxPlanLevels).ok()) << bits << " for " << dims;
    }
  }
}

TEST(ShapesTest, BudgetOutOfRangeIsNamed) {
  EXPECT_THAT(std::string(CandidateShapes(Falling(64, 1.0), 64, 32769, kMaxPlanLevels).status().message()),
              HasSubstr("32768"));
  EXPECT_THAT(std::string(CandidateShapes(Falling(64, 1.0), 64, 7, 4).status().message()), HasSubstr("7 bits"));
  EXPECT_THAT(std::string(CandidateShapes(Falling(64, 1.0), 64, 32769, 4).status().message()), HasSubstr("32768"));
}

TEST(ShapesTest, TrellisCodesAsFarAsThereAreAny) {
  const auto shapes = CandidateShapes(Falling(256, 0.9), 256, 512, kMaxPlanLevels, /*trellis=*/true);
  ASSERT_TRUE(shapes.ok());
  size_t fine = 0;  // with a run of 4 levels that is trellis-coded; there is one without for each
  const auto expect_trellis = [&](const LevelPlan& shape) {
    EXPECT_EQ(shape.bits(), 512u);
    for (const LevelPlan::Run& run : shape.runs()) {
      if (run.levels <= kMaxTrellisLevels || run.trellis) {
        EXPECT_EQ(run.trellis, run.levels <= kMaxTrellisPlanLevels);
      }
      fine += run.trellis && run.levels > kMaxTrellisLevels;
    }
  };
  for (const LevelPlan& shape : *shapes) {
    expect_trellis(shape);
    for (const LevelPlan& near : NeighborShapes(shape, 256, kMaxPlanLevels)) {
      if (shape.trellis()) expect_trellis(near);
    }
  }
  EXPECT_GT(fine, 0u);
}

}  // namespace
}  // namespace bebr
