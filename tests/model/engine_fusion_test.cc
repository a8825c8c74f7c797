// Searches that fuse versions, lists from elsewhere and weights, against a plain re-telling of what they say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class EngineFusionTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  static constexpr size_t kDocuments = 300;

  void SetUp() override {
    ASSERT_TRUE(
        engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3}, old_model_).ok());
    ASSERT_TRUE(engine_->AddVersion("c", {.name = "v2"}, new_model_).ok());
    UpsertRequest request{.collection = "c"};
    for (size_t i = 0; i < kDocuments; ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat("d", i);
      document.attributes["odd"] = i % 2 == 1;
      // Some have an embedding of one version only.
      if (i % 5 != 0) document.embeddings.push_back({.version = "v1", .values = old_rows_[i]});
      if (i % 7 != 0 || i % 5 == 0) document.embeddings.push_back({.version = "v2", .values = new_rows_[i]});
    }
    const auto result = UpsertAndWait(*engine_, std::move(request));
    ASSERT_TRUE(result.ok()) << result.status();
  }

  struct List {
    std::vector<std::pair<std::string, float>> hits;
    double weight = 1;
  };
  // One query's list, as a search of its own finds it.
  List ListOf(const SearchRequest& fused, size_t q) {
    SearchRequest request{.collection = "c", .queries = {fused.queries[q]}};
    request.version = fused.versions.empty() ? fused.version : fused.versions[q];
    request.k = std::max(fused.offset + fused.k, fused.rerank);
    request.rerank = fused.rerank;
    request.filter = fused.filter;
    request.exclude_ids = fused.exclude_ids;
    List list;
    const auto result = SearchAndWait(*engine_, request);
    EXPECT_TRUE(result.ok()) << result.status();
    for (const SearchHit& hit : result->hits.at(0)) list.hits.emplace_back(hit.id, hit.score);
    return list;
  }
  static List ListOf(const SearchRequest& fused, const RankedList& given) {
    List list;
    std::set<std::string> seen(fused.exclude_ids.begin(), fused.exclude_ids.end());
    for (size_t i = 0; i < given.ids.size(); ++i) {
      const int number = given.ids[i][0] == 'd' ? std::stoi(given.ids[i].substr(1)) : -1;
      if (number < 0 || number >= static_cast<int>(kDocuments)) continue;
      if (!fused.filter.empty() && number % 2 != 1) continue;
      if (seen.insert(given.ids[i]).second)
        list.hits.emplace_back(given.ids[i], given.scores.empty() ? 0 : given.scores[i]);
    }
    return list;
  }
  std::vector<std::pair<double, std::string>> Expected(const SearchRequest& request) {
    std::vector<List> lists;
    for (size_t q = 0; q < request.queries.size(); ++q) lists.push_back(ListOf(request, q));
    for (const RankedList& list : request.lists) lists.push_back(ListOf(request, list));
    for (size_t l = 0; l < lists.size() && !request.weights.empty(); ++l) lists[l].weight = request.weights[l];
    std::set<std::string> ids;
    for (const List& list : lists) {
      for (const auto& [id, score] : list.hits) ids.insert(id);
    }
    std::vector<std::pair<double, std::string>> fused;
    for (const std::string& id : ids) {
      double sum = 0, weights = 0, most = -1e30;
      for (const List& list : lists) {
        if (list.hits.empty()) continue;
        size_t rank = 0;
        while (rank < list.hits.size() && list.hits[rank].first != id) ++rank;
        const bool in = rank < list.hits.size();
        const double score = in ? list.hits[rank].second : 0;
        if (in) most = std::max(most, score < 0 ? score / list.weight : score * list.weight);
        if (request.fusion == Fusion::kReciprocalRank) sum += in ? list.weight / (61.0 + static_cast<double>(rank)) : 0;
        if (request.fusion == Fusion::kMean) sum += list.weight * (in ? list.hits[rank] : list.hits.back()).second;
        weights += list.weight;
      }
      if (request.fusion == Fusion::kMean) sum /= weights;
      fused.emplace_back(request.fusion == Fusion::kMax ? most : sum, id);
    }
    std::sort(fused.begin(), fused.end(), [](const auto& a, const auto& b) {
      const auto x = static_cast<float>(a.first), y = static_cast<float>(b.first);
      return x != y ? x > y : a.second < b.second;
    });
    fused.erase(fused.begin(), fused.begin() + static_cast<ptrdiff_t>(std::min(request.offset, fused.size())));
    if (fused.size() > request.k) fused.resize(request.k);
    return fused;
  }
  void Check(SearchRequest request) {
    request.collection = "c";
    request.with_attributes = true;
    const auto result = SearchAndWait(*engine_, request);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->hits.size(), 1u);
    const auto expected = Expected(request);
    ASSERT_EQ(result->hits[0].size(), expected.size());
    std::set<std::string> coded;  // whose code was compared with a query's
    for (size_t q = 0; q < request.queries.size(); ++q)
      for (const auto& [id, score] : ListOf(request, q).hits) coded.insert(id);
    std::map<std::string, double> score_of;
    for (size_t i = 0; i < expected.size(); ++i) {
      const SearchHit& hit = result->hits[0][i];
      EXPECT_NEAR(hit.score, expected[i].first, 1e-5 * std::max(1.0, std::fabs(expected[i].first))) << i;
      EXPECT_TRUE(hit.attributes.contains("odd")) << hit.id;
      EXPECT_FALSE(hit.version.empty()) << hit.id;
      EXPECT_EQ(hit.score_kind, ScoreKind::kFused) << hit.id;
      EXPECT_EQ(hit.its.has_value(), coded.contains(hit.id)) << hit.id;
      score_of[expected[i].second] = expected[i].first;
    }
    // Rounding may swap neighbours that are all but equal, and nothing else.
    for (const SearchHit& hit : result->hits[0]) {
      if (!score_of.contains(hit.id)) continue;
      EXPECT_NEAR(hit.score, score_of[hit.id], 1e-5) << hit.id;
    }
  }
  RankedList RandomList(size_t size) {
    RankedList list;
    float score = 1;
    for (size_t i = 0; i < size; ++i) {
      list.ids.push_back(random_() % 10 == 0 ? absl::StrCat("unknown", i) : absl::StrCat("d", random_() % kDocuments));
      list.scores.push_back(score -= 0.01f);
    }
    return list;
  }
  std::string Refusal(SearchRequest request) {
    request.collection = "c";
    if (request.queries.empty()) request.queries = {old_queries_[0]};
    return SearchAndWait(*engine_, std::move(request)).status().ToString();
  }

  std::mt19937_64 random_{GetParam()};
  const std::string old_model_ = RandomModelFile(6, *ParseCodeSpec("24x2"), 4, 1);
  const std::string new_model_ = RandomModelFile(9, *ParseCodeSpec("40x2"), 4, 2);
  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_ = *Engine::Open({.data_dir = directory_.path(), .threads = 2});
  const std::vector<std::vector<float>> old_rows_ = RandomVectors(kDocuments, 6, 4);
  const std::vector<std::vector<float>> new_rows_ = RandomVectors(kDocuments, 9, 5);
  const std::vector<std::vector<float>> old_queries_ = RandomVectors(5, 6, 6);
  const std::vector<std::vector<float>> new_queries_ = RandomVectors(5, 9, 7);
};

TEST_P(EngineFusionTest, OfVersionsListsAndWeights) {
  for (const Fusion fusion : {Fusion::kMax, Fusion::kMean, Fusion::kReciprocalRank}) {
    for (const size_t rerank : {0, 40}) {
      SearchRequest request{
          .queries = {old_queries_[0], new_queries_[1], old_queries_[2]}, .k = 20, .rerank = rerank, .fusion = fusion};
      request.versions = {"v1", "v2", "v1"};
      Check(request);
      request.lists = {RandomList(30), RandomList(5), RankedList()};
      Check(request);
      request.offset = 7;
      request.weights = {0.5, 2, 1, 0.25, 3, 1};
      Check(request);
      request.filter = "odd = true";
      for (size_t i = 0; i < 3; ++i) request.exclude_ids.push_back(request.lists[0].ids[i]);
      Check(request);
    }
  }
}

TEST_P(EngineFusionTest, AListNeedsNoScoresForReciprocalRanks) {
  SearchRequest request{.queries = {old_queries_[0]}, .k = 30, .fusion = Fusion::kReciprocalRank};
  request.lists = {RandomList(40)};
  request.lists[0].scores.clear();
  Check(request);
}

TEST_P(EngineFusionTest, WhatCountsMoreIsBetterOfNegativeScoresToo) {
  SearchRequest request{.collection = "c", .queries = {old_queries_[0]}, .k = 2, .fusion = Fusion::kMax};
  request.filter = "id IN (\"d1\", \"d2\")";
  request.lists = {{{"d1"}, {-4}}, {{"d2"}, {-4}}};
  request.exclude_ids = {"d1", "d2"};
  const auto neither = SearchAndWait(*engine_, request);
  ASSERT_TRUE(neither.ok()) << neither.status();
  EXPECT_TRUE(neither->hits.at(0).empty());
  request.exclude_ids.clear();
  request.min_score = 1e9f;  // no document of the query's own
  request.weights = {1, 1, 2};
  const auto result = SearchAndWait(*engine_, request);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->hits.at(0).size(), 2u);
  EXPECT_EQ(result->hits[0][0].id, "d2");
  EXPECT_EQ(result->hits[0][0].score, -2);
  EXPECT_EQ(result->hits[0][1].score, -4);
}

TEST_P(EngineFusionTest, OneThatIsRefusedLeavesNothingBehind) {
  SearchRequest request{.collection = "c", .queries = {old_queries_[0], new_queries_[0]}, .fusion = Fusion::kMean};
  request.versions = {"v1", "v2"};
  request.model_checksum = engine_->GetCollection("c")->versions.at(0).model_checksum;
  auto held = std::make_shared<absl::Status>();
  const std::weak_ptr<absl::Status> seen = held;
  absl::Status status;
  engine_->Search(request, [held = std::move(held), &status](auto result) { status = result.status(); });
  EXPECT_FALSE(status.ok());  // the one version is of this model, the other is not
  EXPECT_TRUE(seen.expired());
}

TEST_P(EngineFusionTest, WhatDoesNotFitIsSaid) {
  const auto with = [](auto&& set) {
    SearchRequest request{.fusion = Fusion::kMean};
    set(request);
    return request;
  };
  EXPECT_THAT(Refusal(with([](auto& r) { r.fusion = Fusion::kNone, r.versions = {"v1"}; })),
              HasSubstr("versions is set without fusion"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.fusion = Fusion::kNone, r.lists.resize(1); })),
              HasSubstr("lists is set without fusion"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.versions = {"v1", "v2"}; })), HasSubstr("versions has 2 entries"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.versions = {"v3"}; })), HasSubstr("v3"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.versions = {"v2"}; })), HasSubstr("queries[0]"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.lists.resize(17); })), HasSubstr("lists has 17 entries"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.lists = {{{"a"}, {}}}; })), HasSubstr("lists[0] has no scores"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.lists = {{{"a", "b"}, {1}}}; })), HasSubstr("2 ids and 1 scores"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.lists = {{{"a"}, {NAN}}}; })), HasSubstr("lists[0].scores[0] is nan"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.lists = {{{""}, {1}}}; })), HasSubstr("lists[0].ids[0]"));
  EXPECT_THAT(Refusal(with([](auto& r) {
                r.lists = {{std::vector<std::string>(10001, "a"), {}}};
              })),
              HasSubstr("lists[0].ids has 10001 entries"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.weights = {1, 2}; })), HasSubstr("weights has 2 entries"));
  EXPECT_THAT(Refusal(with([](auto& r) { r.weights = {0}; })), HasSubstr("weights[0] is 0"));
}

INSTANTIATE_TEST_SUITE_P(Seeds, EngineFusionTest, ::testing::Values(1, 2));

}  // namespace
}  // namespace bebr::testing
