// Obvious properties of the quantizers that the recall benchmark compares with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "bench/baselines/gaussian_bound.h"
#include "bench/baselines/kmeans.h"
#include "bench/baselines/osq.h"
#include "bench/baselines/product.h"
#include "bench/baselines/rabitq.h"
#include "bench/baselines/signs.h"
#include "bench/baselines/turboquant.h"
#include "index/binarizer/dot.h"

namespace bebr::bench {
namespace {

constexpr size_t kDims = 32;

// Normal coordinates, the first ones wider, away from the origin.
Matrix Rows(size_t rows, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Matrix matrix{rows, kDims, std::vector<float>(rows * kDims)};
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < kDims; ++i)
      matrix.row(r)[i] = 0.3f + normal(random) / std::sqrt(1.0f + static_cast<float>(i));
  }
  return matrix;
}

class BaselinesTest : public ::testing::TestWithParam<Metric> {
 protected:
  BaselinesTest() : problem_(MakeProblem(GetParam(), Rows(1000, 1), Rows(500, 2), Rows(20, 3), pool_)) {
    const auto statistics = MeasureCorpus(problem_.fitted, GetParam(), kDims, 1);
    components_ = statistics->components;
    variances_ = statistics->variances;
  }

  // Mean square of what the estimated scores are wrong by, but for what a query adds to all of its scores.
  double Error(const Estimates& estimates) const {
    double sum = 0.0;
    for (size_t q = 0; q < problem_.queries.rows; ++q) {
      std::vector<double> wrong(problem_.documents.rows);
      double mean = 0.0;
      for (size_t r = 0; r < wrong.size(); ++r) {
        wrong[r] = Estimate(estimates, q, r) - Exact(q, r);
        mean += wrong[r] / static_cast<double>(wrong.size());
      }
      for (const double w : wrong) sum += (w - mean) * (w - mean);
    }
    return sum / static_cast<double>(problem_.queries.rows * problem_.documents.rows);
  }
  static double Estimate(const Estimates& estimates, size_t q, size_t r) {
    return Dot(estimates.queries.row(q), estimates.rows.row(r), estimates.rows.dims) + estimates.offsets[r];
  }
  double Exact(size_t q, size_t r) const {
    const float *query = problem_.queries.row(q), *x = problem_.documents.row(r);
    return GetParam() == Metric::kL2 ? -0.5 * SquaredDistance(query, x, kDims) : Dot(query, x, kDims);
  }
  // The error of each of `all` is at most `share` of the one before.
  void ExpectFallingErrors(const std::vector<Estimates>& all, double share) const {
    for (size_t i = 1; i < all.size(); ++i) {
      EXPECT_LT(Error(all[i]), share * Error(all[i - 1])) << i;
      EXPECT_GT(all[i].code_bytes, all[i - 1].code_bytes) << i;
    }
  }

  ThreadPool pool_{2};
  Problem problem_;
  std::vector<float> components_;
  std::vector<double> variances_;
};

INSTANTIATE_TEST_SUITE_P(Metrics, BaselinesTest, ::testing::Values(Metric::kCosine, Metric::kL2),
                         [](const auto& info) { return std::string(ToString(info.param)); });

TEST_P(BaselinesTest, RabitqsErrorFallsWithBits) {
  std::vector<Estimates> all;
  for (const int bits : {1, 2, 3, 5, 7, 9}) all.push_back(MakeRabitq(problem_, {.bits = bits}));
  ExpectFallingErrors(all, 0.5);
  EXPECT_LT(Error(MakeRabitq(problem_, {.bits = 2, .centroids = 64})), Error(all[1]));
  EXPECT_GT(Error(MakeRabitq(problem_, {.dims = kDims / 2, .bits = 1}, components_)), Error(all[0]));
}

TEST_P(BaselinesTest, OsqsErrorFallsWithBits) {
  std::vector<Estimates> all;
  for (const int bits : {1, 2, 4, 7}) all.push_back(MakeOsq(problem_, bits));
  ExpectFallingErrors(all, 0.6);
}

TEST_P(BaselinesTest, TurboquantsErrorFallsWithBits) {
  for (const bool unbiased : {false, true}) {
    std::vector<Estimates> all;
    for (const int bits : {1, 2, 4, 6}) all.push_back(MakeTurboquant(problem_, bits, unbiased, 1));
    ExpectFallingErrors(all, 0.5);
  }
}

TEST_P(BaselinesTest, ProductQuantizersErrorFallsWithParts) {
  for (const bool rotated : {false, true}) {
    std::vector<Estimates> all;
    for (const size_t parts : {3, 8}) {
      all.push_back(MakeProduct(problem_, {.parts = parts, .rotated = rotated}, components_, variances_));
    }
    ExpectFallingErrors(all, 0.7);
    EXPECT_LT(Error(all[1]),
              Error(MakeProduct(problem_, {.parts = 8, .bits = 4, .rotated = rotated}, components_, variances_)));
  }
}

TEST_P(BaselinesTest, TheBoundsErrorFallsWithBits) {
  std::vector<Estimates> all;
  for (const double bits : {16, 32, 64, 128}) {
    all.push_back(MakeGaussianBound(problem_, bits, components_, variances_, 1));
  }
  ExpectFallingErrors(all, 0.8);
}

TEST_P(BaselinesTest, SearchFindsTheBestByEstimate) {
  const Estimates estimates = MakeRabitq(problem_, {.bits = 2});
  const Found found = Search(estimates, pool_);
  ASSERT_EQ(found.size(), problem_.queries.rows * kFound);
  for (size_t q = 0; q < problem_.queries.rows; ++q) {
    std::vector<bool> taken(problem_.documents.rows);
    for (size_t i = 0; i < kFound; ++i) taken[found[q * kFound + i]] = true;
    const double worst = Estimate(estimates, q, found[q * kFound + kFound - 1]);
    for (size_t r = 0; r < taken.size(); ++r) {
      if (!taken[r]) {
        EXPECT_LE(Estimate(estimates, q, r), worst + 1e-5);
      }
    }
  }
}

// The mean over seeds of the estimates of one product, less the product itself, in their standard errors.
template <typename Make>
double Bias(const Problem& problem, const Make& make, int seeds) {
  const double exact = Dot(problem.queries.row(0), problem.documents.row(0), kDims);
  double sum = 0.0, squares = 0.0;
  for (int seed = 1; seed <= seeds; ++seed) {
    const Estimates estimates = make(static_cast<uint64_t>(seed));
    const double wrong = Dot(estimates.queries.row(0), estimates.rows.row(0), kDims) + estimates.offsets[0] - exact;
    sum += wrong;
    squares += wrong * wrong;
  }
  const double mean = sum / seeds;
  return mean / std::sqrt((squares / seeds - mean * mean) / seeds);
}

TEST(EstimatorsTest, AreUnbiasedOverRotations) {
  ThreadPool pool(1);
  Problem problem = MakeProblem(Metric::kInnerProduct, Rows(2, 1), Rows(1, 2), Rows(1, 3), pool);
  problem.mean.assign(kDims, 0.0f);
  constexpr int kSeeds = 200;
  EXPECT_LT(std::abs(Bias(
                problem, [&](uint64_t seed) { return MakeRabitq(problem, {.seed = seed}); }, kSeeds)),
            4);
  EXPECT_LT(std::abs(Bias(
                problem, [&](uint64_t seed) { return MakeTurboquant(problem, 2, true, seed); }, kSeeds)),
            4);
  // The first algorithm of TurboQuant is not: at one bit it shortens vectors to 2 / pi.
  EXPECT_GT(std::abs(Bias(
                problem, [&](uint64_t seed) { return MakeTurboquant(problem, 1, false, seed); }, kSeeds)),
            8);
}

TEST(RabitqTest, SweepsToTheMostParallelPoint) {
  const float o[] = {0.9f, -0.5f, 0.2f, -0.05f};
  float code[4], other[4];
  NearestGridDirection(o, 4, 3, code);
  const auto cosine = [&](const float* c) { return Dot(o, c, 4) / std::sqrt(Dot(c, c, 4)); };
  // All 8^4 points of the grid.
  for (int point = 0; point < 4096; ++point) {
    for (int i = 0; i < 4; ++i) other[i] = static_cast<float>(point >> (3 * i) & 7) - 3.5f;
    EXPECT_LE(cosine(other), cosine(code) + 1e-6);
  }
}

TEST(TurboquantTest, QuantizersAreThoseOfANormalVariable) {
  // Max (1960): the best quantizers of a standard normal variable; of many dims a coordinate has nearly that density.
  constexpr size_t kMany = 4096;
  EXPECT_NEAR(SphereQuantizer(kMany, 1)[1] * 64, 0.7979, 1e-3);
  const std::vector<float> four = SphereQuantizer(kMany, 2);
  EXPECT_NEAR(four[2] * 64, 0.4528, 1e-3);
  EXPECT_NEAR(four[3] * 64, 1.510, 1e-3);
}

TEST(OsqTest, TwoValuesStayAsTheyAre) {
  float x[] = {1.0f, -2.0f, 1.0f, 1.0f, -2.0f, 1.0f};
  const std::vector<float> before(x, x + 6);
  QuantizeOsq(1, x, 6);
  EXPECT_THAT(std::vector<float>(x, x + 6), ::testing::Pointwise(::testing::FloatNear(1e-5f), before));
}

TEST(GaussianBoundTest, SpendsTheBits) {
  const std::vector<double> variances = {4.0, 1.0, 0.25, 0.0};
  const std::vector<double> errors = ReverseWaterFilling(variances, 3.0);
  double bits = 0.0;
  for (size_t i = 0; i < variances.size(); ++i) bits += errors[i] > 0 ? 0.5 * std::log2(variances[i] / errors[i]) : 0;
  EXPECT_NEAR(bits, 3.0, 1e-6);
  EXPECT_NEAR(errors[0], errors[1], 1e-9);
  EXPECT_EQ(errors[3], 0.0);
}

TEST(KMeansTest, FindsClusters) {
  Matrix rows{300, 2, {}};
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal(0.0f, 0.1f);
  for (size_t r = 0; r < rows.rows; ++r) {
    rows.values.push_back(static_cast<float>(r % 3) * 5.0f + normal(random));
    rows.values.push_back(normal(random));
  }
  ThreadPool pool(2);
  const Matrix centroids = KMeans(rows, 12, 1, pool);
  double error = 0.0;
  const std::vector<uint32_t> nearest = NearestCentroids(rows, centroids, pool);
  for (size_t r = 0; r < rows.rows; ++r) error += SquaredDistance(rows.row(r), centroids.row(nearest[r]), 2);
  EXPECT_LT(error / 300, 0.05);
}

}  // namespace
}  // namespace bebr::bench
