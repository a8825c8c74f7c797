// Options of searches against plain re-tellings of what they say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class EngineOptionsTest : public ::testing::TestWithParam<Metric> {
 protected:
  static constexpr uint32_t kDims = 20;
  static constexpr size_t kDocuments = 700;

  void SetUp() override {
    const std::string model = RandomModelFile(kDims, *ParseCodeSpec("40x3+24x1"), 4, 1, GetParam());
    ASSERT_TRUE(
        engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3}, model).ok());
    UpsertRequest request{.collection = "c"};
    for (size_t i = 0; i < kDocuments; ++i) {
      Attributes attributes;
      if (i % 3 != 0) attributes["n"] = static_cast<int64_t>(i);
      if (i % 5 == 0) attributes["name"] = absl::StrCat(i % 2 == 0 ? "even " : "odd ", i);
      request.documents.push_back(
          {.id = absl::StrCat("d", i), .attributes = attributes, .embeddings = {{.values = rows_[i]}}});
    }
    ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
  }
  SearchResult Must(SearchRequest request) {
    request.collection = "c";
    auto result = SearchAndWait(*engine_, std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : SearchResult{.hits = {{}}};
  }
  std::vector<std::pair<std::string, float>> Hits(SearchRequest request) {
    std::vector<std::pair<std::string, float>> hits;
    const SearchResult result = Must(std::move(request));
    for (const SearchHit& hit : result.hits.at(0)) hits.emplace_back(hit.id, hit.score);
    return hits;
  }
  std::set<std::string> Ids(const std::string& filter) {
    std::set<std::string> ids;
    const SearchResult result = Must({.queries = {queries_[0]}, .k = 10000, .filter = filter});
    for (const SearchHit& hit : result.hits.at(0)) ids.insert(hit.id);
    const auto count = engine_->Count("c", filter);
    EXPECT_TRUE(count.ok() && *count == ids.size()) << filter;
    return ids;
  }
  template <typename Accept>
  std::set<std::string> IdsThat(const Accept& accept) {
    std::set<std::string> ids;
    for (size_t i = 0; i < kDocuments; ++i) {
      if (accept(i, absl::StrCat("d", i))) ids.insert(absl::StrCat("d", i));
    }
    return ids;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_ = *Engine::Open({.data_dir = directory_.path(), .threads = 2});
  const std::vector<std::vector<float>> rows_ = RandomVectors(kDocuments, kDims, 2);
  const std::vector<std::vector<float>> queries_ = RandomVectors(4, kDims, 3);
};

TEST_P(EngineOptionsTest, PagesAreTheListInPieces) {
  for (const size_t rerank : {0, 400}) {
    const auto whole = Hits({.queries = {queries_[0]}, .k = 350, .rerank = rerank});
    std::vector<std::pair<std::string, float>> pieces;
    for (size_t offset = 0; offset < 350; offset += 35) {
      const auto page = Hits({.queries = {queries_[0]}, .k = 35, .offset = offset, .rerank = rerank});
      pieces.insert(pieces.end(), page.begin(), page.end());
    }
    EXPECT_EQ(pieces, whole);
  }
  EXPECT_THAT(Hits({.queries = {queries_[0]}, .k = 5, .offset = kDocuments}), IsEmpty());
}

TEST_P(EngineOptionsTest, ExcludedDocumentsMakeRoomForOthers) {
  for (const size_t rerank : {0, 60}) {
    const auto whole = Hits({.queries = {queries_[1]}, .k = 60, .rerank = rerank});
    std::vector<std::string> out = {"unknown"};
    std::vector<std::pair<std::string, float>> expected;
    for (size_t i = 0; i < whole.size(); ++i) {
      if (i % 3 == 0) {
        out.push_back(whole[i].first);
      } else if (expected.size() < 30) {
        expected.push_back(whole[i]);
      }
    }
    const auto hits = Hits({.queries = {queries_[1]}, .k = 30, .rerank = rerank == 0 ? 0u : 40u, .exclude_ids = out});
    EXPECT_EQ(hits, expected);
  }
}

TEST_P(EngineOptionsTest, FusionIsWhatItSays) {
  const SearchRequest separate{.queries = {queries_[0], queries_[1], queries_[2]}, .k = 50};
  const auto lists = Must(separate).hits;
  for (const Fusion fusion : {Fusion::kMax, Fusion::kMean, Fusion::kReciprocalRank}) {
    std::map<std::string, std::vector<std::pair<size_t, float>>> found;  // list -> rank, score
    std::map<std::string, float> expected;
    for (size_t l = 0; l < lists.size(); ++l) {
      for (size_t r = 0; r < lists[l].size(); ++r) {
        auto& in = found[lists[l][r].id];
        in.resize(lists.size(), {0, -1e30f});
        in[l] = {r + 1, lists[l][r].score};
      }
    }
    for (const auto& [id, in] : found) {
      double sum = 0, most = -1e30;
      for (size_t l = 0; l < in.size(); ++l) {
        most = std::max(most, double{in[l].second});
        if (fusion == Fusion::kReciprocalRank) sum += in[l].first == 0 ? 0 : 1.0 / (60.0 + in[l].first);
        if (fusion == Fusion::kMean) sum += in[l].first == 0 ? lists[l].back().score : in[l].second;
      }
      if (fusion == Fusion::kMean) sum /= 3;
      expected[id] = static_cast<float>(fusion == Fusion::kMax ? most : sum);
    }
    std::vector<std::pair<std::string, float>> sorted(expected.begin(), expected.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    SearchRequest request = separate;
    request.k = 40;
    request.offset = 10;
    request.fusion = fusion;
    const auto result = Must(request);
    ASSERT_EQ(result.hits.size(), 1u);
    ASSERT_EQ(result.hits[0].size(), 40u);
    for (size_t i = 0; i < 40; ++i) {
      EXPECT_NEAR(result.hits[0][i].score, sorted[10 + i].second, 1e-6 * std::fabs(sorted[10 + i].second)) << i;
      EXPECT_NEAR(expected.at(result.hits[0][i].id), result.hits[0][i].score,
                  1e-6 * std::fabs(result.hits[0][i].score));
    }
  }
}

TEST_P(EngineOptionsTest, ExplanationsGiveTheScore) {
  for (const size_t rerank : {0, 30}) {
    const SearchResult result = Must({.queries = {queries_[3]}, .k = 30, .rerank = rerank, .explain = true});
    for (const SearchHit& hit : result.hits[0]) {
      ASSERT_NE(hit.explanation, nullptr);
      const Explanation& e = *hit.explanation;
      ASSERT_EQ(e.bands.size(), 2u);
      EXPECT_EQ(e.bands[0].distances.size(), 3u);
      EXPECT_EQ(e.bands[1].distances.size(), 1u);
      double sum = 0;
      uint32_t first_level = 0;
      for (const BandExplanation& band : e.bands) {
        sum += double{band.weight} * static_cast<double>(band.dot);
        first_level += band.distances[0];
      }
      const double estimate = (sum * e.scale + e.offset + e.query_offset) * e.query_factor;
      EXPECT_NEAR(e.estimate, estimate, 1e-4 * std::max(1.0, std::fabs(estimate)));
      if (rerank == 0) {
        EXPECT_EQ(e.estimate, hit.score);
      }
      const double p = first_level / 64.0;
      EXPECT_NEAR(hit.its.value(), p >= 0.5 ? 0 : p == 0 ? 1 : 1 + p * std::log2(p) + (1 - p) * std::log2(1 - p), 1e-6);
    }
  }
  EXPECT_EQ(Must({.queries = {queries_[3]}}).hits[0].at(0).explanation, nullptr);
}

TEST_P(EngineOptionsTest, ExamplesMakeAQuery) {
  const auto unit = [](std::vector<float> row) {
    double squared = 0;
    for (const float value : row) squared += double{value} * value;
    if (GetParam() == Metric::kCosine) {
      for (float& value : row) value = static_cast<float>(value / std::sqrt(squared));
    }
    return row;
  };
  const auto one = engine_->Recommend({.collection = "c", .positive_ids = {"d7"}});
  ASSERT_TRUE(one.ok()) << one.status();
  for (size_t i = 0; i < kDims; ++i) EXPECT_NEAR((*one)[i], unit(rows_[7])[i], 1e-6);
  EXPECT_EQ(Must({.queries = {*one}, .k = 1, .rerank = 50}).hits[0].at(0).id,
            GetParam() != Metric::kInnerProduct ? "d7"
                                                : Must({.queries = {rows_[7]}, .k = 1, .rerank = 50}).hits[0].at(0).id);
  const auto both = engine_->Recommend({.collection = "c",
                                        .positive_ids = {"d7"},
                                        .negative_ids = {"d9", "d8"},
                                        .positives = {queries_[0]},
                                        .negatives = {}});
  ASSERT_TRUE(both.ok()) << both.status();
  for (size_t i = 0; i < kDims; ++i) {
    const double positive = 0.5 * (unit(rows_[7])[i] + unit(queries_[0])[i]);
    const double negative = 0.5 * (unit(rows_[8])[i] + unit(rows_[9])[i]);
    EXPECT_NEAR((*both)[i], 2 * positive - negative, 1e-5);
  }
  EXPECT_THAT(std::string(engine_->Recommend({.collection = "c", .positive_ids = {"nobody"}}).status().message()),
              HasSubstr("there is no document \"nobody\""));
  EXPECT_THAT(std::string(engine_->Recommend({.collection = "c", .negative_ids = {"d1"}}).status().message()),
              HasSubstr("no positive example"));
}

TEST_P(EngineOptionsTest, FiltersOnIdsRangesAndPrefixes) {
  EXPECT_EQ(Ids("id = \"d5\""), IdsThat([](size_t, const std::string& id) { return id == "d5"; }));
  EXPECT_EQ(Ids("id != \"d5\""), IdsThat([](size_t, const std::string& id) { return id != "d5"; }));
  EXPECT_EQ(Ids("id IN (\"d5\", \"d600\", \"x\")"),
            IdsThat([](size_t, const std::string& id) { return id == "d5" || id == "d600"; }));
  EXPECT_EQ(Ids("id STARTS WITH \"d1\""), IdsThat([](size_t, const std::string& id) { return id.starts_with("d1"); }));
  EXPECT_EQ(Ids("NOT id BETWEEN \"d2\" AND \"d4\""),
            IdsThat([](size_t, const std::string& id) { return !(id >= "d2" && id <= "d4"); }));
  EXPECT_EQ(Ids("id > \"d6\" and id < \"d61\""),
            IdsThat([](size_t, const std::string& id) { return id > "d6" && id < "d61"; }));
  EXPECT_EQ(Ids("id EXISTS").size(), kDocuments);
  EXPECT_EQ(Ids("n BETWEEN 10 AND 20.5"),
            IdsThat([](size_t i, const std::string&) { return i % 3 != 0 && i >= 10 && i <= 20; }));
  EXPECT_EQ(Ids("name starts with \"even 1\" AND NOT n EXISTS"), IdsThat([](size_t i, const std::string&) {
              return i % 10 == 0 && i % 3 == 0 && absl::StrCat(i).starts_with("1");
            }));
  EXPECT_EQ(Ids("`id` EXISTS").size(), 0u);
  std::string many = "id IN (";
  for (size_t i = 0; i < 10000; ++i) absl::StrAppend(&many, i == 0 ? "" : ",", "'d", 2 * i, "'");
  EXPECT_EQ(Ids(many + ")"), IdsThat([](size_t i, const std::string&) { return i % 2 == 0; }));
}

TEST_P(EngineOptionsTest, WhatNoDocumentHasIsTold) {
  const auto warnings = [&](const std::string& filter) {
    return Must({.queries = {queries_[0]}, .filter = filter}).warnings;
  };
  EXPECT_THAT(warnings("n > 5 AND name EXISTS AND id = \"x\""), IsEmpty());
  EXPECT_THAT(warnings("N > 5 OR N < 2"), ElementsAre("no document has an attribute \"N\""));
  EXPECT_THAT(warnings("n = \"5\" OR name > 2"),
              ::testing::UnorderedElementsAre(
                  "no document has an attribute \"n\" of the type of a text; it has numbers: they stand without quotes",
                  "no document has an attribute \"name\" of the type of a number; it has texts: they stand in quotes"));
  const absl::Status strict =
      SearchAndWait(*engine_, {.collection = "c", .queries = {queries_[0]}, .filter = "N = 1", .strict = true})
          .status();
  EXPECT_EQ(strict.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(strict.message()), HasSubstr("\"N\""));
}

TEST_P(EngineOptionsTest, CountsTheDocumentsThatWereScored) {
  EXPECT_EQ(Must({.queries = {queries_[0], queries_[1]}}).documents_scanned, kDocuments);
  const uint64_t few = Must({.queries = {queries_[0]}, .filter = "id = \"d5\""}).documents_scanned;
  EXPECT_GE(few, 1u);
  EXPECT_LE(few, 16u);
  EXPECT_EQ(Must({.queries = {queries_[0]}, .filter = "id = \"x\""}).documents_scanned, 0u);
}

INSTANTIATE_TEST_SUITE_P(Metrics, EngineOptionsTest,
                         ::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2));

}  // namespace
}  // namespace bebr::testing
