#include "index/search/rerank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/float16.h"
#include "tests/support/test_models.h"
#include "tests/support/test_shards.h"

namespace bebr {
namespace {

using testing::RandomModelFile;
using testing::RandomVectors;
using testing::ScanAll;
using testing::TestShards;

std::string StoredAs(FloatStorage storage, const std::vector<float>& values) {
  if (storage == FloatStorage::kFloat32) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  }
  std::vector<uint16_t> halves(values.size());
  FloatToHalf(values.data(), values.size(), halves.data());
  return {reinterpret_cast<const char*>(halves.data()), halves.size() * sizeof(uint16_t)};
}

TEST(ExactScoreTest, IsTheMetricOfWhatIsStored) {
  for (const size_t dims : {1, 7, 8, 9, 16, 33}) {
    const std::vector<float> query = RandomVectors(1, dims, 1)[0], document = RandomVectors(1, dims, 2)[0];
    for (const FloatStorage storage : {FloatStorage::kFloat16, FloatStorage::kFloat32}) {
      double dot = 0, query_square = 0, document_square = 0, distance = 0;
      for (size_t i = 0; i < dims; ++i) {
        const double value = storage == FloatStorage::kFloat16 ? HalfToFloat(FloatToHalf(document[i])) : document[i];
        dot += query[i] * value;
        query_square += double{query[i]} * query[i];
        document_square += value * value;
        distance += (query[i] - value) * (query[i] - value);
      }
      const std::string stored = StoredAs(storage, document);
      EXPECT_NEAR(ExactScore(query, stored, storage, Metric::kInnerProduct), dot, 1e-5);
      EXPECT_NEAR(ExactScore(query, stored, storage, Metric::kL2), -distance, 1e-5);
      EXPECT_NEAR(ExactScore(query, stored, storage, Metric::kCosine),
                  dot / std::sqrt(query_square) / std::sqrt(document_square), 1e-6);
      EXPECT_EQ(ExactScore(query, ("x" + stored).substr(1), storage, Metric::kCosine),
                ExactScore(query, stored, storage, Metric::kCosine));
    }
  }
}

TEST(ExactScoreTest, OfAZeroVectorIsZero) {
  const std::vector<float> zeros(5), ones(5, 1.0f);
  EXPECT_EQ(ExactScore(zeros, StoredAs(FloatStorage::kFloat32, ones), FloatStorage::kFloat32, Metric::kCosine), 0.0f);
  EXPECT_EQ(ExactScore(ones, StoredAs(FloatStorage::kFloat16, zeros), FloatStorage::kFloat16, Metric::kCosine), 0.0f);
}

TEST(ExactScoreTest, DistancesFarFromTheOriginLoseNothing) {
  std::vector<float> query(40), document(40);
  for (size_t i = 0; i < query.size(); ++i) {
    query[i] = 1e6f + 0.5f * static_cast<float>(i % 3);
    document[i] = 1e6f;
  }
  const std::string stored = StoredAs(FloatStorage::kFloat32, document);
  EXPECT_EQ(ExactScore(query, stored, FloatStorage::kFloat32, Metric::kL2), -(13 * 0.25f + 13 * 1.0f));
  EXPECT_EQ(ExactScore(document, stored, FloatStorage::kFloat32, Metric::kL2), 0.0f);
}

TEST(InformationScoreTest, IsOneMinusTheEntropyOfTheShareOfOtherBits) {
  const CodeSpec spec = *ParseCodeSpec("32x2");
  // Only the first level counts: the second words differ everywhere.
  const uint32_t document[] = {0, 0xFFFFFFFF};
  const auto score = [&](uint32_t bits) {
    const uint32_t query[] = {bits, 0, 0};
    return InformationScore(spec, 3, query, document);
  };
  EXPECT_EQ(score(0), 1.0f);
  EXPECT_EQ(score(0xFFFF), 0.0f);  // half of the bits: nothing is known
  EXPECT_EQ(score(0xFFFFFFFF), 0.0f);
  EXPECT_NEAR(score(0xFF), 1.0 + 0.25 * std::log2(0.25) + 0.75 * std::log2(0.75), 1e-6);
  EXPECT_GT(score(1), score(3));
}

// The further levels of a finer code say nothing of the sign of a dim.
TEST(InformationScoreTest, LeavesFurtherLevelsOut) {
  const CodeSpec spec = *CodeSpec::Create({{8, 4, 3.0f}, {8, 2, 3.0f / 16}, {8, 2, 1.0f}});
  const uint32_t query[] = {0x0f, 0xff, 0x0f, 0xff, 0x0f, 0}, document[] = {0x0f, 0, 0, 0, 0xf0, 0, 0x0f, 0};
  EXPECT_EQ(InformationScore(spec, 2, query, document), 1.0f);
}

TEST(InformationScoreTest, GoesFromBandToBand) {
  const CodeSpec spec = *ParseCodeSpec("8x2+33x1");
  const uint32_t query[] = {0x0F, 0, /* second band, two levels of two words */ 1, 1, 0, 0};
  const uint32_t document[] = {0, 0xFF, 0, 0};
  const double p = 6.0 / 41;  // 4 bits of the first band, 2 of the second
  EXPECT_NEAR(InformationScore(spec, 2, query, document), 1.0 + p * std::log2(p) + (1 - p) * std::log2(1 - p), 1e-6);
}

class RerankTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kDims = 12;
  RerankTest() : shards_(RandomModelFile(kDims, *ParseCodeSpec("16x1"), 1, 1), 3) {
    const auto vectors = RandomVectors(60, kDims, 2);
    for (size_t i = 0; i < vectors.size(); ++i) shards_.Put(absl::StrCat("d", i), vectors[i]);
  }
  std::vector<Candidate> Candidates(const ScanTarget& target, size_t k) {
    const std::vector<ScanQuery> asked = {{.k = k}};
    return ScanAll(target, shards_.Prepare({query_}), nullptr, asked, 1)[0];
  }

  TestShards shards_;
  const std::vector<float> query_ = RandomVectors(1, kDims, 3)[0];
};

TEST_F(RerankTest, OfAllCandidatesIsTheExactSearch) {
  const ScanTarget target = shards_.Target();
  const auto scored = Rerank(target, shards_.shards()->store(), Candidates(target, 60), 60,
                             {query_, 0, FloatStorage::kFloat32, Metric::kCosine});
  ASSERT_TRUE(scored.ok()) << scored.status();
  const auto expected = shards_.reference().SearchExact(query_, 60);
  ASSERT_EQ(scored->size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(target.id((*scored)[i].candidate), expected[i].id) << i;
    EXPECT_NEAR((*scored)[i].candidate.score, expected[i].score, 1e-6);
    EXPECT_EQ((*scored)[i].kind, ScoreKind::kExact);
  }
}

TEST_F(RerankTest, LeavesWhatIsDeeperAndWhatHasNoFloats) {
  ShardSet& shards = *shards_.shards();
  CollectionStore::Batch batch;
  for (int i = 0; i < 60; i += 2) {
    const std::string id = absl::StrCat("d", i);
    batch.DeleteFloats(0, shards.ShardOf(id), id);
  }
  ASSERT_TRUE(shards.store().Commit(std::move(batch), shards.store().sequence() + 1).ok());
  shards_.Put("d1", RandomVectors(60, kDims, 2)[1]);  // publishes a view with the floats gone
  const ScanTarget target = shards_.Target();
  const std::vector<Candidate> candidates = Candidates(target, 60);
  const auto scored =
      Rerank(target, shards_.shards()->store(), candidates, 20, {query_, 0, FloatStorage::kFloat32, Metric::kCosine});
  ASSERT_TRUE(scored.ok()) << scored.status();
  ASSERT_EQ(scored->size(), candidates.size());
  size_t exact = 0;
  for (const ScoredCandidate& entry : *scored) {
    size_t rank = 0;
    while (target.id(candidates[rank]) != target.id(entry.candidate)) ++rank;
    const int number = std::stoi(std::string(target.id(entry.candidate)).substr(1));
    EXPECT_EQ(entry.kind == ScoreKind::kExact, rank < 20 && number % 2 == 1) << rank;
    if (entry.kind == ScoreKind::kEstimated) {
      EXPECT_EQ(entry.candidate.score, candidates[rank].score);
    }
    exact += entry.kind == ScoreKind::kExact ? 1 : 0;
  }
  EXPECT_GT(exact, 0u);
  EXPECT_LT(exact, 20u);
  for (size_t i = 1; i < scored->size(); ++i) {
    EXPECT_FALSE(target.Better((*scored)[i].candidate, (*scored)[i - 1].candidate)) << i;
  }
}

TEST_F(RerankTest, EndsWhenItIsInterrupted) {
  const ScanTarget target = shards_.Target();
  size_t asked = 0;
  const auto interrupt = [&asked] { return ++asked == 2 ? absl::CancelledError("enough") : absl::OkStatus(); };
  const auto scored = Rerank(target, shards_.shards()->store(), Candidates(target, 60), 60,
                             {query_, 0, FloatStorage::kFloat32, Metric::kCosine, interrupt});
  EXPECT_EQ(scored.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(asked, 2u);  // once for each of three shards, but no more
}

TEST_F(RerankTest, FloatsOfAnotherLengthAreDataLoss) {
  const ScanTarget target = shards_.Target();
  const auto scored = Rerank(target, shards_.shards()->store(), Candidates(target, 5), 5,
                             {query_, 0, FloatStorage::kFloat16, Metric::kCosine});
  EXPECT_EQ(scored.status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace bebr
