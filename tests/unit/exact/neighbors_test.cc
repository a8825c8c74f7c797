#include "index/exact/neighbors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <random>
#include <vector>

namespace bebr {
namespace {

using ::testing::ElementsAre;

Matrix RandomMatrix(size_t rows, size_t dims, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Matrix matrix{rows, dims, std::vector<float>(rows * dims)};
  for (float& value : matrix.values) value = normal(random);
  return matrix;
}

// The definition, one query at a time, in double.
std::vector<uint32_t> Reference(const Matrix& docs, const Matrix& queries, size_t k, Metric metric) {
  std::vector<uint32_t> all;
  for (size_t q = 0; q < queries.rows; ++q) {
    std::vector<double> scores(docs.rows);
    for (size_t i = 0; i < docs.rows; ++i) {
      double dot = 0;
      double square = 0;
      double distance = 0;
      for (size_t d = 0; d < docs.dims; ++d) {
        dot += static_cast<double>(docs.row(i)[d]) * queries.row(q)[d];
        square += static_cast<double>(docs.row(i)[d]) * docs.row(i)[d];
        distance += std::pow(static_cast<double>(docs.row(i)[d]) - queries.row(q)[d], 2);
      }
      scores[i] = metric == Metric::kL2             ? -distance
                  : metric == Metric::kInnerProduct ? dot
                  : square > 0                      ? dot / std::sqrt(square)
                                                    : 0;
    }
    std::vector<uint32_t> order(docs.rows);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
    all.insert(all.end(), order.begin(), order.begin() + static_cast<ptrdiff_t>(std::min(k, docs.rows)));
  }
  return all;
}

TEST(ExactNeighborsTest, EqualsTheDefinitionForAnyNumberOfThreads) {
  // More documents and queries than a block, and sizes that fill none.
  const Matrix docs = RandomMatrix(9001, 19, 1);
  const Matrix queries = RandomMatrix(150, 19, 2);
  for (const Metric metric : {Metric::kInnerProduct, Metric::kCosine, Metric::kL2}) {
    const std::vector<uint32_t> expected = Reference(docs, queries, 10, metric);
    for (const size_t threads : {1, 2, 5}) EXPECT_EQ(ExactNeighbors(docs, queries, 10, metric, threads), expected);
  }
}

TEST(ExactNeighborsTest, TiesGoByRowNumber) {
  // Every row stands in the matrix several times, far enough apart to fall into different blocks and corners of blocks.
  const Matrix some = RandomMatrix(3001, 33, 3);
  Matrix docs{some.rows * 3, some.dims, {}};
  for (int copy = 0; copy < 3; ++copy) docs.values.insert(docs.values.end(), some.values.begin(), some.values.end());
  const Matrix queries = RandomMatrix(7, 33, 4);
  const std::vector<uint32_t> found = ExactNeighbors(docs, queries, 9, Metric::kInnerProduct, 2);
  EXPECT_EQ(found, Reference(docs, queries, 9, Metric::kInnerProduct));
  for (size_t i = 0; i < found.size(); i += 3) {
    EXPECT_EQ(found[i + 1], found[i] + 3001);
    EXPECT_EQ(found[i + 2], found[i] + 6002);
  }
}

TEST(ExactNeighborsTest, DistancesDoNotDependOnWhereTheOriginIs) {
  Matrix docs = RandomMatrix(3000, 19, 5), queries = RandomMatrix(20, 19, 6);
  for (Matrix* rows : {&docs, &queries}) {
    for (float& value : rows->values) value += 3000.0f;  // whose squares in float are rounded to whole numbers
  }
  EXPECT_EQ(ExactNeighbors(docs, queries, 10, Metric::kL2, 2), Reference(docs, queries, 10, Metric::kL2));
}

TEST(ExactNeighborsTest, ZeroDocumentsScoreZeroAndKIsCut) {
  const Matrix docs{3, 2, {0, 0, -1, 0, 1, 0}};
  const Matrix query{1, 2, {2, 0}};
  EXPECT_THAT(ExactNeighbors(docs, query, 10, Metric::kCosine, 1), ElementsAre(2, 0, 1));
  EXPECT_THAT(ExactNeighbors(docs, query, 1, Metric::kInnerProduct, 1), ElementsAre(2));
  EXPECT_TRUE(ExactNeighbors(docs, query, 0, Metric::kCosine, 1).empty());
  EXPECT_TRUE(ExactNeighbors(docs, Matrix{0, 2, {}}, 1, Metric::kCosine, 1).empty());
}

TEST(RecallTest, CountsWhatIsAmongTheFirst) {
  const std::vector<uint32_t> exact = {1, 2, 3, 4};
  const std::vector<uint32_t> found = {4, 9, 1, 8, 2};
  EXPECT_EQ(Recall(exact.data(), 4, found.data(), found.size(), 1), 0.25);
  EXPECT_EQ(Recall(exact.data(), 4, found.data(), found.size(), 4), 0.5);
  EXPECT_EQ(Recall(exact.data(), 4, found.data(), found.size(), 100), 0.75);
  EXPECT_EQ(Recall(exact.data(), 2, found.data(), found.size(), 5), 1.0);
  EXPECT_EQ(Recall(exact.data(), 4, found.data(), 0, 10), 0.0);
}

}  // namespace
}  // namespace bebr
