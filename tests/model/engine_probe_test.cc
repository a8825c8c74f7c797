// Searches of the nearest groups: each must say what a search of all documents says whose filter names the documents of
// these groups.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tests/support/engine_calls.h"
#include "tests/support/reference_search.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::IsEmpty;

constexpr uint32_t kDims = 16;
constexpr uint32_t kGroups = 9;

class EngineProbeTest : public ::testing::Test {
 protected:
  void Open(EngineOptions options = {}) {
    options.data_dir = directory_.path();
    options.threads = 2;
    engine_.reset();
    engine_ = *Engine::Open(options);
  }
  void Create(size_t documents) {
    ASSERT_TRUE(
        engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2}, model_).ok());
    Write(0, documents);
  }
  void Write(size_t begin, size_t end) {
    if (begin == end) return;
    UpsertRequest request{.collection = "c"};
    for (size_t i = begin; i < end; ++i) {
      const std::string id = absl::StrCat("d", i);
      const Attributes attributes = {{"shop", static_cast<int64_t>(random_() % 30)}};
      reference_.Upsert(id, rows_[i], attributes);
      request.documents.push_back({.id = id, .attributes = attributes, .embeddings = {{.values = rows_[i]}}});
    }
    const auto result = UpsertAndWait(*engine_, std::move(request));
    ASSERT_TRUE(result.ok()) << result.status();
  }
  SearchResult Must(SearchRequest request) {
    request.collection = "c";
    auto result = SearchAndWait(*engine_, std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : SearchResult{.hits = {{}}};
  }
  // A filter that leaves the documents of these groups.
  std::string OfGroups(GroupSet groups) const {
    std::vector<std::string> ids;
    for (const auto& [id, entry] : reference_.documents()) {
      if ((groups & OneGroup(entry.factors.group)) != 0) ids.push_back(absl::StrCat("'", id, "'"));
    }
    return absl::StrCat("id IN (", absl::StrJoin(ids, ", "), ")");
  }
  static void ExpectSame(const std::vector<SearchHit>& found, const std::vector<SearchHit>& expected) {
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].id, expected[i].id) << i;
      EXPECT_EQ(found[i].score, expected[i].score) << i;
      EXPECT_EQ(found[i].score_kind, expected[i].score_kind) << i;
      EXPECT_EQ(found[i].group, expected[i].group) << i;
    }
  }
  // The request with a probe, and the same with the filter.
  void Compare(SearchRequest request, float share) {
    const std::vector<float> query(request.queries[0].begin(), request.queries[0].end());
    const auto [groups, scanned] = reference_.Probe(query, share);
    request.probe = share;
    const SearchResult found = Must(request);
    EXPECT_NEAR(found.scanned_share, scanned, 1e-9);
    request.probe = 0;
    const std::string left = OfGroups(groups);
    request.filter = request.filter.empty() ? left : absl::StrCat("(", request.filter, ") AND ", left);
    const SearchResult expected = Must(request);
    EXPECT_EQ(expected.scanned_share, 0.0);
    ExpectSame(found.hits[0], expected.hits[0]);
  }

  TemporaryDirectory directory_;
  const std::string model_ = RandomModelFile(kDims, WithGroups(*ParseCodeSpec("24x2"), kGroups), 6, 3);
  const std::vector<std::vector<float>> rows_ = RandomVectors(1500, kDims, 4);
  const std::vector<std::vector<float>> queries_ = RandomVectors(40, kDims, 5);
  std::mt19937_64 random_{6};
  ReferenceCollection reference_{model_};
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineProbeTest, GoesWithEveryOtherOption) {
  Open();
  ASSERT_NO_FATAL_FAILURE(Create(rows_.size()));
  for (const float share : {0.01f, 0.25f, 0.6f, 1.0f}) {
    for (size_t q = 0; q < 5; ++q) {
      SCOPED_TRACE(absl::StrCat("probe ", share, ", query ", q));
      const SearchRequest plain{.queries = {queries_[q]}};
      Compare(plain, share);
      SearchRequest request = plain;
      request.rerank = 50;
      Compare(request, share);
      request.offset = 7;
      request.exclude_ids = {"d1", Must(plain).hits[0][0].id, "nobody"};
      Compare(request, share);
      request = plain;
      request.k = 5000;
      request.min_score = 0.0f;
      Compare(request, share);
      request.filter = "shop = 3 OR shop > 20";
      Compare(request, share);
      request.first_levels = 1;
      Compare(request, share);
      request = plain;
      request.group_by = "shop";
      request.group_size = 2;
      Compare(request, share);
      request.rerank = 60;
      Compare(request, share);
    }
  }
}

// Each query of a request, and of a fused one, has groups of its own.
TEST_F(EngineProbeTest, QueriesOfOneRequestHaveTheirOwnGroups) {
  Open();
  ASSERT_NO_FATAL_FAILURE(Create(rows_.size()));
  SearchRequest request{.k = 300, .probe = 0.2f};
  for (const auto& query : queries_) request.queries.push_back(query);
  const SearchResult together = Must(request);
  double scanned = 0;
  std::map<std::string, float> best;
  for (size_t q = 0; q < queries_.size(); ++q) {
    const auto [groups, share] = reference_.Probe(queries_[q], 0.2f);
    scanned += share / static_cast<double>(queries_.size());
    const auto expected = reference_.Search(queries_[q], 300, {}, groups);
    ASSERT_EQ(together.hits[q].size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(together.hits[q][i].id, expected[i].id);
      EXPECT_EQ(together.hits[q][i].score, expected[i].score);
      const auto [at, added] = best.try_emplace(expected[i].id, expected[i].score);
      at->second = std::max(at->second, expected[i].score);
    }
  }
  EXPECT_NEAR(together.scanned_share, scanned, 1e-9);
  EXPECT_LT(scanned, 0.5);
  request.fusion = Fusion::kMax;
  const SearchResult fused = Must(request);
  EXPECT_NEAR(fused.scanned_share, scanned, 1e-9);
  ASSERT_EQ(fused.hits[0].size(), 300u);
  for (const SearchHit& hit : fused.hits[0]) EXPECT_EQ(hit.score, best.at(hit.id));
}

TEST_F(EngineProbeTest, ExplanationsTellFromWhichShareOnAHitIsFound) {
  Open();
  ASSERT_NO_FATAL_FAILURE(Create(400));
  for (size_t q = 0; q < 5; ++q) {
    const auto all = Must({.queries = {queries_[q]}, .k = 400, .explain = true}).hits[0];
    ASSERT_EQ(all.size(), 400u);
    std::set<float> shares;
    for (const SearchHit& hit : all) shares.insert(hit.explanation->nearer_share);
    EXPECT_EQ(*shares.begin(), 0.0f);
    EXPECT_GT(shares.size(), 3u);
    for (const float share : shares) {
      for (const float probe : {share, share + 0.001f}) {
        if (probe == 0.0f || probe > 1.0f) continue;
        std::set<std::string> expected, found;
        for (const SearchHit& hit : all) {
          if (hit.explanation->nearer_share < probe) expected.insert(hit.id);
        }
        const SearchResult probed = Must({.queries = {queries_[q]}, .k = 400, .probe = probe});
        for (const SearchHit& hit : probed.hits[0]) found.insert(hit.id);
        EXPECT_EQ(found, expected) << probe;
      }
    }
  }
}

TEST_F(EngineProbeTest, FewDocumentsAndNone) {
  Open();
  ASSERT_NO_FATAL_FAILURE(Create(0));
  const SearchResult empty = Must({.queries = {queries_[0]}, .probe = 0.5f});
  EXPECT_THAT(empty.hits[0], IsEmpty());
  EXPECT_EQ(empty.scanned_share, 1.0);
  Write(0, 1);
  const SearchResult one = Must({.queries = {queries_[0]}, .probe = 1e-30f});
  EXPECT_EQ(one.hits[0].size(), 1u);
  EXPECT_EQ(one.scanned_share, 1.0);
}

TEST_F(EngineProbeTest, WithoutGroupsAllAreScored) {
  Open();
  const std::string plain = RandomModelFile(kDims, *ParseCodeSpec("24x2"), 4, 3);
  ASSERT_TRUE(engine_->CreateCollection({.name = "c"}, plain).ok());
  Write(0, 300);
  const SearchResult found = Must({.queries = {queries_[0], queries_[1]}, .probe = 0.1f, .explain = true});
  const SearchResult expected = Must({.queries = {queries_[0], queries_[1]}});
  for (size_t q = 0; q < 2; ++q) ExpectSame(found.hits[q], expected.hits[q]);
  EXPECT_EQ(found.scanned_share, 1.0);
  EXPECT_EQ(found.hits[0][0].explanation->nearer_share, 0.0f);
}

// Searches of different shares, and of all documents, share scans while documents are written.
TEST_F(EngineProbeTest, SearchesOfAllKindsShareScans) {
  Open();
  ASSERT_NO_FATAL_FAILURE(Create(rows_.size()));
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 6; ++t) {
    threads.emplace_back([this, t] {
      const float share = std::vector<float>{0.0f, 0.05f, 0.3f, 0.7f, 1.0f, 0.3f}[t];
      for (size_t i = 0; i < 30; ++i) {
        const auto& query = queries_[(i + t) % queries_.size()];
        const GroupSet groups = share == 0.0f ? kAllGroups : reference_.Probe(query, share).first;
        const auto expected = reference_.Search(query, 10, {}, groups);
        const SearchResult found = Must({.queries = {query}, .probe = share});
        ASSERT_EQ(found.hits[0].size(), expected.size());
        for (size_t j = 0; j < expected.size(); ++j) EXPECT_EQ(found.hits[0][j].id, expected[j].id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// What the monitor says of probes is what probes find, and a recall takes the share that it names.
TEST_F(EngineProbeTest, ARecallTakesTheShareThatTheMonitorFound) {
  constexpr size_t kFew = 30, kDocuments = 80;
  Open({.recall_monitor_interval = absl::Milliseconds(50), .recall_monitor_queries = 1000});
  ASSERT_NO_FATAL_FAILURE(Create(kFew));
  const SearchResult before = Must({.queries = {queries_[0]}, .probe_recall = 0.5f, .keep_view = absl::Minutes(5)});
  EXPECT_EQ(before.scanned_share, 1.0);  // nothing is known
  Write(kFew, kDocuments);
  std::vector<ProbePoint> curve;
  while (curve.empty()) {
    absl::SleepFor(absl::Milliseconds(20));
    const auto recall = engine_->GetCollection("c")->versions[0].recall;
    if (recall.has_value() && recall->queries == kDocuments) curve = recall->probe;
  }
  const auto ten_nearest = [this](size_t q, float probe) {
    std::set<std::string> ids;
    const SearchResult found = Must({.queries = {rows_[q]}, .k = 11, .probe = probe});
    for (const SearchHit& hit : found.hits[0]) {
      if (hit.id != absl::StrCat("d", q) && ids.size() < 10) ids.insert(hit.id);
    }
    return ids;
  };
  ASSERT_LE(curve.size(), 16u);
  EXPECT_EQ(curve.back().share, 1.0f);
  EXPECT_EQ(curve.back().recall, 1.0f);
  EXPECT_LT(curve.front().recall, 0.9f);
  for (size_t i = 0; i < curve.size(); i += 3) {
    double recall = 0;
    for (size_t q = 0; q < kDocuments; ++q) {
      const auto all = ten_nearest(q, 0), found = ten_nearest(q, curve[i].share);
      for (const std::string& id : found) recall += all.contains(id) ? 0.1 / kDocuments : 0.0;
    }
    EXPECT_NEAR(curve[i].recall, recall, 1e-5) << curve[i].share;
  }
  for (const float goal : {0.3f, 0.8f, 0.95f}) {
    size_t i = 0;
    while (curve[i].recall < goal) ++i;
    const SearchResult by_goal = Must({.queries = {queries_[0]}, .probe_recall = goal});
    const SearchResult by_share = Must({.queries = {queries_[0]}, .probe = curve[i].share});
    EXPECT_EQ(by_goal.scanned_share, by_share.scanned_share);
    ExpectSame(by_goal.hits[0], by_share.hits[0]);
    SearchRequest fused{.queries = {queries_[0], queries_[1]}, .probe_recall = goal, .fusion = Fusion::kMax};
    const SearchResult fused_by_goal = Must(fused);
    fused.probe_recall = 0;
    fused.probe = curve[i].share;
    ExpectSame(fused_by_goal.hits[0], Must(fused).hits[0]);
    SearchRequest grouped{.queries = {queries_[0]}, .probe_recall = goal, .group_by = "shop"};
    EXPECT_EQ(Must(grouped).scanned_share, by_share.scanned_share);
  }
  EXPECT_LT(Must({.queries = {queries_[0]}, .probe_recall = 0.3f}).scanned_share, 1.0);
  // A kept view knows what was known when it was taken.
  SearchRequest kept{.queries = {queries_[0]}, .probe_recall = 0.3f, .view_token = before.view_token};
  EXPECT_EQ(Must(kept).scanned_share, 1.0);
}

}  // namespace
}  // namespace bebr::testing
