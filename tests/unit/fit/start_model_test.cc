#include "index/fit/start_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <vector>

#include "index/fit/groups.h"
#include "index/fit/linear_algebra.h"
#include "index/fit/row_stream.h"
#include "tests/unit/fit/clusters.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

double RowDot(const std::vector<float>& a, size_t i, size_t j, size_t n) {
  double sum = 0.0;
  for (size_t k = 0; k < n; ++k) sum += double{a[i * n + k]} * a[j * n + k];
  return sum;
}

TEST(LinearAlgebraTest, RandomRotationIsOrthogonal) {
  std::mt19937_64 random(1);
  for (const size_t n : {1, 2, 7, 64}) {
    const std::vector<float> rotation = RandomRotation(n, n, random);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) EXPECT_NEAR(RowDot(rotation, i, j, n), i == j ? 1.0 : 0.0, 1e-5);
    }
  }
}

TEST(LinearAlgebraTest, EigenvectorsOfADiagonalAreItsAxes) {
  constexpr size_t kSize = 5;
  std::vector<double> a(kSize * kSize, 0.0);
  for (size_t i = 0; i < kSize; ++i) a[i * kSize + i] = static_cast<double>(i + 1);
  const auto eigen = LargestEigenvectors(a, kSize, 2, 1);
  ASSERT_TRUE(eigen.ok());
  EXPECT_NEAR(eigen->values[0], 5.0, 1e-9);
  EXPECT_NEAR(eigen->values[1], 4.0, 1e-9);
  EXPECT_NEAR(std::abs(eigen->vectors[4]), 1.0, 1e-6);
}

TEST(LinearAlgebraTest, LargeMatricesGiveTheSameLeadingSpace) {
  // Above the limit of the direct solver: eigenvalues 1/(1+i) along rotated axes.
  constexpr size_t kSize = 1100, kCount = 4;
  std::vector<double> a(kSize * kSize, 0.0);
  for (size_t i = 0; i < kSize; ++i) a[i * kSize + i] = 100.0 / static_cast<double>((1 + i) * (1 + i));
  const auto eigen = LargestEigenvectors(a, kSize, kCount, 1);
  ASSERT_TRUE(eigen.ok()) << eigen.status();
  for (size_t i = 0; i < kCount; ++i) {
    EXPECT_NEAR(eigen->values[i] / a[i * kSize + i], 1.0, 1e-4);
    EXPECT_NEAR(std::abs(eigen->vectors[i * kSize + i]), 1.0, 1e-3);
  }
}

TEST(LinearAlgebraTest, EqualizeVariancesMakesThemEqualAndKeepsTheRotation) {
  constexpr size_t kSize = 33;
  std::vector<double> covariance(kSize * kSize, 0.0);
  double mean = 0.0;
  for (size_t i = 0; i < kSize; ++i) {
    covariance[i * kSize + i] = 100.0 / static_cast<double>((i + 1) * (i + 1));
    mean += covariance[i * kSize + i] / kSize;
  }
  std::mt19937_64 random(3);
  std::vector<float> rotation = RandomRotation(kSize, kSize, random);
  EqualizeVariances(covariance, kSize, kSize, rotation);
  for (size_t i = 0; i < kSize; ++i) {
    double variance = 0.0;
    for (size_t k = 0; k < kSize; ++k)
      variance += covariance[k * kSize + k] * rotation[i * kSize + k] * rotation[i * kSize + k];
    EXPECT_NEAR(variance / mean, 1.0, 1e-3);
    EXPECT_NEAR(RowDot(rotation, i, i, kSize), 1.0, 1e-4);
    if (i > 0) {
      EXPECT_NEAR(RowDot(rotation, i, i - 1, kSize), 0.0, 1e-4);
    }
  }
}

TEST(FitTest, StartHasUnitVariancesAndValidModel) {
  const Matrix rows = Clusters(2000, 40, 1);
  const auto statistics = MeasureCorpus(rows, Metric::kCosine, 40, 1);
  ASSERT_TRUE(statistics.ok()) << statistics.status();
  for (const char* shape : {"32x1", "8x2+16x1", "40x2", "56x1"}) {
    const auto model = StartModel(*statistics, *ParseCodeSpec(shape), 4, 1);
    ASSERT_TRUE(model.ok()) << shape << model.status();
    EXPECT_TRUE(ValidateModel(*model).ok());
    std::vector<float> u(rows.dims);
    const size_t m = model->spec.dims();
    std::vector<double> squares(m, 0.0);
    for (size_t r = 0; r < rows.rows; ++r) {
      CenterAndScale(model->mean, Metric::kCosine, rows.row(r), 1, u.data());
      for (size_t j = 0; j < m; ++j) {
        double y = 0.0;
        for (size_t i = 0; i < rows.dims; ++i) y += double{model->project.linear.weight[j * rows.dims + i]} * u[i];
        squares[j] += y * y / static_cast<double>(rows.rows);
      }
    }
    for (const double variance : squares) EXPECT_NEAR(variance, 1.0, 0.08) << shape;
  }
}

TEST(FitTest, MedianThresholdsSplitTheRowsInHalf) {
  const Matrix rows = Clusters(2001, 24, 1);
  const auto statistics = MeasureCorpus(rows, Metric::kCosine, 24, 1);
  const auto model = MedianModel(*statistics, rows, *ParseCodeSpec("24x1"), 1, 1);
  ASSERT_TRUE(model.ok());
  std::vector<float> u(rows.dims);
  std::vector<int> ones(24, 0);
  for (size_t r = 0; r < rows.rows; ++r) {
    CenterAndScale(model->mean, Metric::kCosine, rows.row(r), 1, u.data());
    for (size_t j = 0; j < 24; ++j) {
      double y = model->project.linear.bias[j];
      for (size_t i = 0; i < rows.dims; ++i) y += double{model->project.linear.weight[j * rows.dims + i]} * u[i];
      ones[j] += y >= 0.0;
    }
  }
  for (const int count : ones) EXPECT_NEAR(count, 1000, 10);
}

TEST(FitTest, RefusesWhatHasNothingToTellApart) {
  Matrix same{5, 3, std::vector<float>(15, 1.0f)};
  EXPECT_THAT(std::string(MeasureCorpus(same, Metric::kCosine, 3, 1).status().message()), HasSubstr("equal"));
  EXPECT_THAT(std::string(MeasureCorpus(same, Metric::kInnerProduct, 3, 1).status().message()), HasSubstr("equal"));
  Matrix zero{5, 3, std::vector<float>(15, 0.0f)};
  EXPECT_THAT(std::string(MeasureCorpus(zero, Metric::kCosine, 3, 1).status().message()),
              HasSubstr("0 of them not zero"));
  Matrix wide{2, 8193, std::vector<float>(2 * 8193, 1.0f)};
  EXPECT_THAT(std::string(MeasureCorpus(wide, Metric::kCosine, 3, 1).status().message()), HasSubstr("8192"));
}

// Rows as a file gives them: a block at a time, from the beginning for each sum.
class Blocks : public RowStream {
 public:
  explicit Blocks(const Matrix& matrix) : matrix_(matrix) {}
  size_t rows() const override { return matrix_.rows; }
  size_t dims() const override { return matrix_.dims; }
  absl::Status ForEachBlock(Take take) const override {
    for (size_t row = 0; row < matrix_.rows; row += 700)
      take(matrix_.row(row), std::min<size_t>(700, matrix_.rows - row));
    ++passes_;
    return absl::OkStatus();
  }
  int passes() const { return passes_; }

 private:
  const Matrix& matrix_;
  mutable int passes_ = 0;
};

TEST(RowStreamTest, AStreamIsFittedAsItsRowsAre) {
  Matrix rows = Clusters(5000, 24, 1);
  std::fill_n(rows.row(17), 24, 0.0f);  // which says nothing
  const Blocks blocks(rows);
  for (const Metric metric : {Metric::kCosine, Metric::kL2}) {
    const CorpusStatistics held = *MeasureCorpus(rows, metric, 24, 1), streamed = *MeasureCorpus(blocks, metric, 24, 1);
    EXPECT_EQ(streamed.rows, 4999u);
    EXPECT_EQ(streamed.mean, held.mean);
    EXPECT_EQ(streamed.covariance, held.covariance);
    EXPECT_EQ(streamed.row_length, held.row_length);
    for (const uint32_t bases : {8u, 3u}) {
      const GroupStatistics of_held = *MeasureGroups(rows, held, {8, bases}, 16, 16, 1),
                            of_streamed = *MeasureGroups(blocks, held, {8, bases}, 16, 16, 1);
      EXPECT_EQ(of_streamed.means, of_held.means);
      EXPECT_EQ(of_streamed.basis_of, of_held.basis_of);
      EXPECT_EQ(std::set<uint32_t>(of_held.basis_of.begin(), of_held.basis_of.end()).size(), bases);
      ASSERT_EQ(of_streamed.of_basis.size(), bases);
      for (size_t b = 0; b < bases; ++b) EXPECT_EQ(of_streamed.of_basis[b].covariance, of_held.of_basis[b].covariance);
    }
  }
  EXPECT_EQ(blocks.passes(), 2 * (2 + 2 * 3));
  // An even part of a matrix.
  const MatrixRows part(rows, 1000);
  std::vector<float> firsts;
  ASSERT_TRUE(part.ForEachBlock([&](const float* some, size_t count) {
                    for (size_t i = 0; i < count; ++i) firsts.push_back(some[i * 24]);
                  })
                  .ok());
  ASSERT_EQ(firsts.size(), 1000u);
  EXPECT_EQ(firsts[999], rows.row(4995)[0]);
}

}  // namespace
}  // namespace bebr
