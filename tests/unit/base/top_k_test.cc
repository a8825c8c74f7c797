#include "index/base/top_k.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

namespace bebr {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

struct Scored {
  float score = 0;
  int id = 0;
  friend bool operator==(const Scored&, const Scored&) = default;
};
struct Better {
  bool operator()(const Scored& a, const Scored& b) const {
    return a.score != b.score ? a.score > b.score : a.id < b.id;
  }
};
using Best = TopK<Scored, Better>;
constexpr float kNone = -std::numeric_limits<float>::infinity();

// Few different scores, so that many are equal.
std::vector<Scored> Stream(size_t count) {
  std::mt19937_64 random(count);
  std::vector<Scored> stream;
  for (size_t i = 0; i < count; ++i) stream.push_back({static_cast<float>(random() % 20), static_cast<int>(i)});
  std::shuffle(stream.begin(), stream.end(), random);
  return stream;
}

TEST(TopKTest, KeepsTheBestInTheirOrder) {
  for (const size_t count : {0, 1, 9, 10, 11, 28, 500}) {
    for (const size_t k : {1, 2, 10, 1000}) {
      std::vector<Scored> expected = Stream(count);
      Best best(k, kNone, {});
      for (const Scored& candidate : expected) {
        if (candidate.score >= best.threshold()) best.Add(candidate);
      }
      std::sort(expected.begin(), expected.end(), Better());
      expected.resize(std::min(expected.size(), k));
      EXPECT_THAT(best.Take(), ElementsAreArray(expected)) << count << " candidates, k " << k;
    }
  }
}

TEST(TopKTest, TheThresholdRulesOutNobodyOfTheBest) {
  Best best(3, 1.0f, {});
  EXPECT_EQ(best.threshold(), 1.0f);
  for (int i = 0; i < 100; ++i) best.Add({static_cast<float>(i), i});
  EXPECT_GT(best.threshold(), 1.0f);
  EXPECT_LE(best.threshold(), 97.0f);
  best.Raise(98.5f);
  EXPECT_EQ(best.threshold(), 98.5f);
  best.Raise(2.0f);
  EXPECT_EQ(best.threshold(), 98.5f);
  EXPECT_EQ(best.Take().size(), 3u);
}

TEST(TopKTest, OfNobodyIsNobody) { EXPECT_THAT(Best(5, kNone, {}).Take(), IsEmpty()); }

}  // namespace
}  // namespace bebr
