#include "index/search/shared_best.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/search/scan.h"
#include "tests/support/test_models.h"
#include "tests/support/test_shards.h"

namespace bebr {
namespace {

using ::testing::ElementsAreArray;
using testing::HitsOf;
using testing::RandomModelFile;
using testing::RandomVectors;
using testing::ScanAll;
using testing::TestShards;

constexpr uint32_t kInputDims = 12;
constexpr float kNoLeast = -std::numeric_limits<float>::infinity();

// Some shards of documents of few different vectors, so that ids must break ties.
std::unique_ptr<TestShards> MakeShards(size_t documents) {
  auto made = std::make_unique<TestShards>(RandomModelFile(kInputDims, *ParseCodeSpec("40x2"), 4, 1), 2);
  const auto vectors = RandomVectors(300, kInputDims, 2);
  std::map<std::string, std::pair<std::vector<float>, Attributes>> put;
  for (size_t i = 0; i < documents; ++i) put[absl::StrCat("d", i)].first = vectors[i * i % vectors.size()];
  made->PutAll(put);
  return made;
}

// Every row of the first part once, with few different scores, in some order.
std::vector<Find> RandomFinds(const ScanTarget& target, uint32_t query) {
  std::mt19937 random(query);
  std::vector<Find> finds;
  for (uint32_t row = 0; row < target.parts()[0].view->rows; ++row)
    finds.push_back({query, {static_cast<float>(random() % 50), 0, row}});
  std::shuffle(finds.begin(), finds.end(), random);
  return finds;
}

std::vector<std::pair<float, uint32_t>> Rows(const std::vector<Candidate>& candidates) {
  std::vector<std::pair<float, uint32_t>> rows;
  for (const Candidate& candidate : candidates) rows.emplace_back(candidate.score, candidate.row);
  return rows;
}

TEST(SharedBestTest, ThreadsKeepWhatSortingWouldKeep) {
  constexpr size_t kThreads = 4, kQueries = 3, kAtOnce = 7;
  const auto shards = MakeShards(800);
  const ScanTarget target = shards->Target();
  for (const size_t k : {size_t{1}, size_t{10}, size_t{100}, size_t{5000}}) {
    std::deque<SharedBest> best;
    std::vector<std::vector<Find>> finds;
    for (uint32_t q = 0; q < kQueries; ++q) {
      best.emplace_back(target, k, kNoLeast);
      finds.push_back(RandomFinds(target, q));
    }
    std::vector<std::vector<Find>> left(kThreads);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = t; i < finds[0].size(); i += kThreads) {
          for (const auto& of_query : finds) left[t].push_back(of_query[i]);
          if (i % kAtOnce == 0) AddFinds(left[t], best);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (auto& of_thread : left) {
      AddFinds(of_thread, best);
      EXPECT_TRUE(of_thread.empty()) << "nobody else adds";
    }
    for (uint32_t q = 0; q < kQueries; ++q) {
      std::vector<Candidate> expected;
      for (const Find& find : finds[q]) expected.push_back(find.candidate);
      std::sort(expected.begin(), expected.end(),
                [&](const Candidate& a, const Candidate& b) { return target.Better(a, b); });
      expected.resize(std::min(k, expected.size()));
      EXPECT_LE(best[q].threshold(), expected.back().score);
      EXPECT_THAT(Rows(best[q].Take()), ElementsAreArray(Rows(expected))) << "k " << k;
    }
  }
}

// Of many units, so that threads learn from each other what to look for.
TEST(SharedBestTest, ScansOfManyUnitsFindWhatTheReferenceFinds) {
  const auto shards = MakeShards(9000);
  const ScanTarget target = shards->Target();
  const auto queries = RandomVectors(20, kInputDims, 4);
  const PreparedQueries prepared = shards->Prepare(queries), bounds = shards->Prepare(queries, 1, true);
  const FirstPass first{bounds, 0};
  std::vector<ScanQuery> asked(queries.size());
  for (size_t q = 0; q < asked.size(); ++q) asked[q].k = q % 4 == 0 ? 1 : 3 * q;
  for (const size_t threads : {1, 5}) {
    const auto found = ScanAll(target, prepared, nullptr, asked, threads);
    const auto bounded = ScanAll(target, prepared, &first, asked, threads);
    for (size_t q = 0; q < queries.size(); ++q) {
      const auto expected = shards->reference().Search(queries[q], asked[q].k);
      EXPECT_THAT(HitsOf(target, found[q]), ElementsAreArray(expected)) << threads << " threads";
      EXPECT_THAT(HitsOf(target, bounded[q]), ElementsAreArray(expected)) << threads << " threads, by bounds";
    }
  }
}

}  // namespace
}  // namespace bebr
