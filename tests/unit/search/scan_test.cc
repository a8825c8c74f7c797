#include "index/search/scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/fair_pool.h"
#include "index/search/probe.h"
#include "index/search/scan_filters.h"
#include "tests/support/test_models.h"
#include "tests/support/test_shards.h"

namespace bebr {
namespace {

using ::testing::ElementsAreArray;
using testing::HitsOf;
using ::testing::IsEmpty;
using testing::RandomModelFile;
using testing::RandomVectors;
using testing::ReferenceCollection;
using testing::ScanAll;
using testing::TestShards;

constexpr uint32_t kInputDims = 12;

struct Case {
  const char* shape;
  uint32_t query_levels;
  size_t shards;
  size_t threads;
  uint32_t groups = 1;
};

// Documents of few different vectors, so that many scores are equal and ids must break the ties; some replaced, some
// deleted.
std::unique_ptr<TestShards> MakeShards(const char* shape, uint32_t query_levels, size_t shards, size_t documents,
                                       uint32_t groups = 1) {
  const CodeSpec spec = testing::WithGroups(*ParseCodeSpec(shape), groups);
  auto made = std::make_unique<TestShards>(RandomModelFile(kInputDims, spec, query_levels, 1), shards);
  const auto vectors = RandomVectors(40, kInputDims, 2);
  std::mt19937_64 random(3);
  std::map<std::string, std::pair<std::vector<float>, Attributes>> put, replaced;
  for (size_t i = 0; i < documents; ++i) {
    auto& [vector, attributes] = put[absl::StrCat("d", i)];
    vector = vectors[random() % vectors.size()];
    if (i % 3 != 0) attributes["n"] = static_cast<int64_t>(i);
  }
  for (size_t i = 0; i < documents; i += 5) replaced[absl::StrCat("d", i)].first = vectors[random() % vectors.size()];
  made->PutAll(put);
  made->PutAll(replaced);
  for (size_t i = 0; i < documents; i += 7) made->Delete(absl::StrCat("d", i));
  return made;
}

class ScanTest : public ::testing::TestWithParam<Case> {};

TEST_P(ScanTest, FindsWhatTheReferenceFinds) {
  const Case& c = GetParam();
  const auto shards = MakeShards(c.shape, c.query_levels, c.shards, 300, c.groups);
  const auto queries = RandomVectors(5, kInputDims, 4);
  const ScanTarget target = shards->Target();
  EXPECT_EQ(target.live_rows(), shards->reference().documents().size());
  const PreparedQueries prepared = shards->Prepare(queries);
  for (const size_t k : {1, 10, 1000}) {
    const std::vector<ScanQuery> asked(queries.size(), {.k = k});
    ScanCounts counts;
    const auto found = ScanAll(target, prepared, nullptr, asked, c.threads, &counts);
    ASSERT_EQ(found.size(), queries.size());
    EXPECT_EQ(counts.documents, target.live_rows() * queries.size());
    EXPECT_GT(counts.bytes, 0u);
    for (size_t q = 0; q < queries.size(); ++q) {
      EXPECT_THAT(HitsOf(target, found[q]), ElementsAreArray(shards->reference().Search(queries[q], k))) << "k " << k;
    }
    // With bounds from the first levels: the same.
    for (uint32_t levels = 1; levels < shards->binarizer().spec().max_levels(); ++levels) {
      const PreparedQueries bounds = shards->Prepare(queries, levels, true);
      const FirstPass first{bounds, 0};
      const auto bounded = ScanAll(target, prepared, &first, asked, c.threads);
      for (size_t q = 0; q < queries.size(); ++q) {
        EXPECT_THAT(HitsOf(target, bounded[q]), ElementsAreArray(HitsOf(target, found[q]))) << levels << " levels";
      }
    }
  }
}

TEST_P(ScanTest, ChoosesCandidatesByTheFirstLevels) {
  const Case& c = GetParam();
  const auto shards = MakeShards(c.shape, c.query_levels, c.shards, 200, c.groups);
  const auto queries = RandomVectors(3, kInputDims, 5);
  const ScanTarget target = shards->Target();
  const PreparedQueries prepared = shards->Prepare(queries), coarse = shards->Prepare(queries, 1);
  const std::vector<ScanQuery> asked(queries.size(), {.k = 7});
  const FirstPass first{coarse, 20};
  const auto found = ScanAll(target, prepared, &first, asked, c.threads);
  for (size_t q = 0; q < queries.size(); ++q) {
    EXPECT_THAT(HitsOf(target, found[q]),
                ElementsAreArray(shards->reference().SearchProgressive(queries[q], 7, 1, 20)));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ScanTest,
                         ::testing::Values(Case{"64x1", 1, 1, 1}, Case{"37x1", 4, 3, 3}, Case{"37x1+8x3", 6, 3, 3},
                                           Case{"40x2", 2, 2, 2}, Case{"8x4+17x3+33x2+70x1", 4, 2, 3},
                                           Case{"37x1+8x3", 6, 1, 2, 2}, Case{"40x2", 5, 2, 3, 7},
                                           Case{"8x4+17x3", 6, 1, 1, kMaxGroups}, Case{"37x1t+8x3t", 6, 3, 3},
                                           Case{"8x4+33x2t+7x3+64x1t", 6, 2, 2}, Case{"40x2t", 5, 2, 3, 7}));

TEST(ScanQueryTest, DropsWhatIsBelowTheLeastScore) {
  const auto shards = MakeShards("40x2", 4, 2, 100);
  const std::vector<float> query = RandomVectors(1, kInputDims, 6)[0];
  const ScanTarget target = shards->Target();
  const PreparedQueries prepared = shards->Prepare({query});
  const auto all = shards->reference().Search(query, 1000);
  const float least = all[all.size() / 2].score;
  auto expected = all;
  std::erase_if(expected, [least](const auto& hit) { return hit.score < least; });
  ASSERT_LT(expected.size(), all.size());
  const std::vector<ScanQuery> asked = {{.k = 1000, .min_score = least}};
  const auto found = ScanAll(target, prepared, nullptr, asked, 2);
  EXPECT_THAT(HitsOf(target, found[0]), ElementsAreArray(expected));
}

class ScanFilterTest : public ::testing::TestWithParam<uint32_t> {};

INSTANTIATE_TEST_SUITE_P(Groups, ScanFilterTest, ::testing::Values(1, 5));

TEST_P(ScanFilterTest, LooksAtTheRowsOfTheFilterOnly) {
  const auto shards = MakeShards("40x2", 6, 2, 100, GetParam());
  const std::vector<float> query = RandomVectors(1, kInputDims, 6)[0];
  const auto filter = *Filter::Parse("n >= 50 OR NOT n EXISTS");
  const auto accept = [](const Attributes& attributes) {
    const auto n = attributes.find("n");
    return n == attributes.end() || std::get<int64_t>(n->second) >= 50;
  };
  const ScanTarget target = shards->Target();
  const PreparedQueries prepared = shards->Prepare({query}), bounds = shards->Prepare({query}, 1, true);
  const FirstPass first{bounds, 0};
  const std::vector<ScanQuery> asked = {{.k = 1000, .filter = filter.get()}};
  for (const FirstPass* pass : {static_cast<const FirstPass*>(nullptr), &first}) {
    const auto found = ScanAll(target, prepared, pass, asked, 2);
    EXPECT_THAT(HitsOf(target, found[0]), ElementsAreArray(shards->reference().Search(query, 1000, accept)));
  }
  const auto nobody = *Filter::Parse("n < 0");
  const std::vector<ScanQuery> unmet = {{.k = 1000, .filter = nobody.get()}};
  EXPECT_THAT(ScanAll(target, prepared, nullptr, unmet, 2)[0], IsEmpty());
}

// Filters of every density, on several segments' worth of blocks: each query finds and counts what it does alone.
TEST_P(ScanFilterTest, EveryQueryHasItsOwnFilter) {
  const auto shards = MakeShards("40x2", 6, 2, 5000, GetParam());
  const char* const texts[] = {"",          "n < 0",    "n = 4",        "n IN (16, 4000, 4999, 1)", "n < 40",
                               "n >= 2500", "n < 2500", "NOT n EXISTS", "n BETWEEN 100 AND 1500",   "id = \"d33\"",
                               "n >= 2500"};
  const auto queries = RandomVectors(std::size(texts), kInputDims, 4);
  const ScanTarget target = shards->Target();
  const PreparedQueries prepared = shards->Prepare(queries), bounds = shards->Prepare(queries, 1, true),
                        coarse = shards->Prepare(queries, 1);
  const FirstPass exact{bounds, 0}, chosen{coarse, 30};
  std::vector<std::unique_ptr<const Filter>> filters;
  std::vector<ScanQuery> asked;
  for (const char* text : texts) {
    filters.push_back(*text == '\0' ? nullptr : *Filter::Parse(text));
    asked.push_back({.k = asked.size() % 2 == 0 ? 10u : 29u, .filter = filters.back().get()});
  }
  for (const FirstPass* pass : {static_cast<const FirstPass*>(nullptr), &exact, &chosen}) {
    ScanCounts counts;
    const auto found = ScanAll(target, prepared, pass, asked, 3, &counts);
    for (size_t q = 0; q < queries.size(); ++q) {
      SCOPED_TRACE(texts[q]);
      const PreparedQueries one = shards->Prepare({queries[q]}), one_bound = shards->Prepare({queries[q]}, 1, true),
                            one_coarse = shards->Prepare({queries[q]}, 1);
      const FirstPass one_exact{one_bound, 0}, one_chosen{one_coarse, 30};
      const FirstPass* one_pass = pass == nullptr ? nullptr : pass == &exact ? &one_exact : &one_chosen;
      ScanCounts one_counts;
      const std::vector<ScanQuery> one_asked = {asked[q]};
      const auto alone = ScanAll(target, one, one_pass, one_asked, 1, &one_counts);
      EXPECT_THAT(HitsOf(target, found[q]), ElementsAreArray(HitsOf(target, alone[0])));
      EXPECT_EQ(counts.documents_of_query[q], one_counts.documents);
    }
  }
  const auto accept = [](const Attributes& attributes) {
    const auto n = attributes.find("n");
    return n != attributes.end() && std::get<int64_t>(n->second) >= 2500;
  };
  const auto found = ScanAll(target, prepared, nullptr, asked, 3);
  EXPECT_THAT(HitsOf(target, found[5]), ElementsAreArray(shards->reference().Search(queries[5], 29, accept)));
  EXPECT_THAT(found[1], IsEmpty());
}

// Queries that want different groups share a scan, whatever their filters and the passes: each finds the best of its
// groups.
TEST(ScanGroupsTest, EveryQueryHasItsOwnGroups) {
  constexpr uint32_t kGroups = 7;
  const auto shards = MakeShards("40x2", 6, 2, 3000, kGroups);
  const GroupSet sets[] = {0b1, kAllGroups, 0b1010101, 0, 0b0100000, 0b1111110, 0b1010101, 0b1};
  const char* const texts[] = {"", "", "n >= 10", "", "n IN (16, 400, 2999, 1)", "n < 40", "", "n >= 10"};
  const auto accept = [](size_t q) -> std::function<bool(const Attributes&)> {
    if (q != 2 && q != 4 && q != 5 && q != 7) return {};
    return [q](const Attributes& attributes) {
      const auto found = attributes.find("n");
      if (found == attributes.end()) return false;
      const int64_t n = std::get<int64_t>(found->second);
      return q == 4 ? n == 16 || n == 400 || n == 2999 || n == 1 : q == 5 ? n < 40 : n >= 10;
    };
  };
  const auto queries = RandomVectors(std::size(sets), kInputDims, 4);
  const ScanTarget target = shards->Target();
  const PreparedQueries prepared = shards->Prepare(queries), bounds = shards->Prepare(queries, 1, true),
                        coarse = shards->Prepare(queries, 1);
  const FirstPass exact{bounds, 0}, chosen{coarse, 30};
  std::vector<std::unique_ptr<const Filter>> filters;
  std::vector<ScanQuery> asked;
  for (size_t q = 0; q < queries.size(); ++q) {
    filters.push_back(*texts[q] == '\0' ? nullptr : *Filter::Parse(texts[q]));
    asked.push_back({.k = 20, .filter = filters.back().get(), .groups = sets[q]});
  }
  const std::vector<uint64_t> documents = target.LiveRowsByGroup(kGroups);
  EXPECT_EQ(std::accumulate(documents.begin(), documents.end(), uint64_t{0}), target.live_rows());
  for (const FirstPass* pass : {static_cast<const FirstPass*>(nullptr), &exact, &chosen}) {
    for (const size_t threads : {1, 3}) {
      ScanCounts counts;
      const auto found = ScanAll(target, prepared, pass, asked, threads, &counts);
      for (size_t q = 0; q < queries.size(); ++q) {
        SCOPED_TRACE(absl::StrCat("query ", q, ", ", texts[q]));
        if (pass != &chosen) {
          EXPECT_THAT(HitsOf(target, found[q]),
                      ElementsAreArray(shards->reference().Search(queries[q], 20, accept(q), sets[q])));
        } else if (!accept(q)) {
          EXPECT_THAT(HitsOf(target, found[q]),
                      ElementsAreArray(shards->reference().SearchProgressive(queries[q], 20, 1, 30, sets[q])));
        }
        if (accept(q)) continue;
        uint64_t wanted = 0;
        for (uint32_t g = 0; g < kGroups; ++g) wanted += (sets[q] & OneGroup(g)) != 0 ? documents[g] : 0;
        EXPECT_EQ(counts.documents_of_query[q], wanted);
      }
    }
  }
}

TEST(ProbeTest, ChoosesTheNearestGroups) {
  const Probe probe({10, 0, 30, 60});
  const std::vector<float> nearness = {-1.0f, 5.0f, 2.0f, 2.0f};  // in order: 1, 2, 3, 0
  const auto choose = [&](float share) { return probe.Nearest(nearness, share); };
  EXPECT_EQ(choose(1e-9f).groups, 0b0110u);  // the nearest one is empty
  EXPECT_EQ(choose(0.3f).groups, 0b0110u);
  EXPECT_EQ(choose(0.3f).share, 0.3f);
  EXPECT_EQ(choose(0.31f).groups, 0b1110u);
  EXPECT_EQ(choose(0.9f).share, 0.9f);
  EXPECT_EQ(choose(0.91f).groups, 0b1111u);
  EXPECT_EQ(probe.NearerShare(nearness, 1), 0.0f);
  EXPECT_EQ(probe.NearerShare(nearness, 2), 0.0f);
  EXPECT_EQ(probe.NearerShare(nearness, 3), 0.3f);
  EXPECT_EQ(probe.NearerShare(nearness, 0), 0.9f);
  const Probe empty({0, 0});
  EXPECT_EQ(empty.Nearest({1.0f, 2.0f}, 0.5f).groups, kAllGroups);
  EXPECT_EQ(empty.Nearest({1.0f, 2.0f}, 0.5f).share, 1.0f);
}

TEST(ProbeTest, ACurveNamesTheLeastShareOfARecall) {
  const std::vector<ProbePoint> curve = {{0.1f, 0.8f}, {0.3f, 0.95f}, {1.0f, 1.0f}};
  EXPECT_EQ(ShareForRecall(curve, 0.5f), 0.1f);
  EXPECT_EQ(ShareForRecall(curve, 0.95f), 0.3f);
  EXPECT_EQ(ShareForRecall(curve, 0.96f), 1.0f);
  EXPECT_EQ(ShareForRecall({}, 0.1f), 1.0f);
}

TEST(ScanQueryTest, AStoppedQueryLeavesTheOthersAlone) {
  const auto shards = MakeShards("40x2", 4, 1, 100);
  const auto queries = RandomVectors(3, kInputDims, 7);
  const ScanTarget target = shards->Target();
  const PreparedQueries prepared = shards->Prepare(queries);
  std::vector<ScanQuery> asked(3, {.k = 5});
  asked[1].stopped = [](auto) { return true; };
  ScanCounts counts;
  const auto found = ScanAll(target, prepared, nullptr, asked, 2, &counts);
  EXPECT_EQ(counts.documents, 2 * target.live_rows());
  for (const size_t q : {0, 2}) {
    EXPECT_THAT(HitsOf(target, found[q]), ElementsAreArray(shards->reference().Search(queries[q], 5)));
  }
}

// As of groups: each has the filter of the search, and a condition of its own.
TEST(ScanFiltersTest, WhatFiltersShareIsComparedWithTextsOnce) {
  constexpr size_t kDocuments = 3 * AttributeDictionary::kRun, kFilters = 50;
  TestShards shards(RandomModelFile(kInputDims, *ParseCodeSpec("40x2"), 4, 1), 1);
  std::map<std::string, std::pair<std::vector<float>, Attributes>> put;
  const std::vector<float> vector = RandomVectors(1, kInputDims, 2)[0];
  for (size_t i = 0; i < kDocuments; ++i) {
    put[absl::StrCat("d", i)] = {vector, {{"text", absl::StrCat("text", i)}, {"n", static_cast<int64_t>(i % 100)}}};
  }
  shards.PutAll(put);
  const ScanTarget target = shards.Target();
  const auto base = *Filter::Parse("text STARTS WITH 'text1' OR text < 'text05'");
  size_t polls = 0;
  std::vector<std::shared_ptr<const Filter>> filters;
  std::vector<ScanQuery> asked;
  for (size_t i = 0; i < kFilters; ++i) {
    filters.push_back(Filter::WithValue(base.get(), "n", static_cast<int64_t>(i), /*lists=*/false));
    asked.push_back({.k = kDocuments, .filter = filters.back().get(), .stopped = [&polls](auto) {
                       ++polls;
                       return false;
                     }});
  }
  ScanFilters evaluated(target, asked);
  FairPool pool(0);
  evaluated.Evaluate(asked, pool);
  // Two comparisons with three runs of texts, and once for each filter and segment.
  EXPECT_LE(polls, 2 * 3 + kFilters * target.parts().size());
  const auto queries = RandomVectors(kFilters, kInputDims, 7);
  const auto found = ScanAll(target, shards.Prepare(queries), nullptr, asked, 1);
  for (size_t i = 0; i < kFilters; ++i) {
    const auto accept = [i](const Attributes& attributes) {
      const auto& text = std::get<std::string>(attributes.at("text"));
      return std::get<int64_t>(attributes.at("n")) == static_cast<int64_t>(i) &&
             (text.starts_with("text1") || text < "text05");
    };
    EXPECT_THAT(HitsOf(target, found[i]), ElementsAreArray(shards.reference().Search(queries[i], kDocuments, accept)));
  }
}

TEST(ScanTargetTest, CountsLiveRowsAtTheEdgesOfBlocks) {
  TestShards shards(RandomModelFile(kInputDims, *ParseCodeSpec("40x1"), 1, 1), 1);
  const auto vectors = RandomVectors(80, kInputDims, 2);
  EXPECT_EQ(shards.Target().live_rows(), 0u);
  EXPECT_TRUE(shards.Target().parts().empty());
  for (size_t i = 0; i < vectors.size(); ++i) {
    shards.Put(absl::StrCat(i), vectors[i]);
    const ScanTarget target = shards.Target();
    ASSERT_EQ(target.parts().size(), 1u);
    EXPECT_EQ(target.live_rows(), i + 1);
    EXPECT_EQ(target.parts()[0].block_count(), i / 16 + 1);
    EXPECT_EQ(target.parts()[0].LiveRows(0, target.parts()[0].block_count()), i + 1);
    const std::vector<ScanQuery> asked = {{.k = 100}};
    const auto found = ScanAll(target, shards.Prepare({vectors[0]}), nullptr, asked, 1);
    EXPECT_THAT(HitsOf(target, found[0]), ElementsAreArray(shards.reference().Search(vectors[0], 100)));
  }
  shards.Delete("63");
  shards.Delete("64");
  const ScanTarget target = shards.Target();
  EXPECT_EQ(target.live_rows(), 78u);
  EXPECT_EQ(target.parts()[0].LiveRows(3, 4), 15u);
  EXPECT_EQ(target.parts()[0].LiveRows(4, 5), 15u);
  EXPECT_FALSE(target.parts()[0].live(63));
  EXPECT_TRUE(target.parts()[0].live(65));
  EXPECT_FALSE(target.parts()[0].live(80));
}

TEST(ScanTargetTest, ASnapshotDoesNotSeeLaterWrites) {
  TestShards shards(RandomModelFile(kInputDims, *ParseCodeSpec("40x1"), 1, 1), 2);
  const auto vectors = RandomVectors(20, kInputDims, 2);
  for (size_t i = 0; i < 10; ++i) shards.Put(absl::StrCat(i), vectors[i]);
  const ScanTarget before = shards.Target();
  const auto expected = shards.reference().Search(vectors[0], 100);
  for (size_t i = 5; i < 20; ++i) shards.Put(absl::StrCat(i), vectors[19 - i / 2]);
  shards.Delete("0");
  const std::vector<ScanQuery> asked = {{.k = 100}};
  const auto found = ScanAll(before, shards.Prepare({vectors[0]}), nullptr, asked, 1);
  EXPECT_THAT(HitsOf(before, found[0]), ElementsAreArray(expected));
}

}  // namespace
}  // namespace bebr
