// Searches by groups against a plain re-telling of what they say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "index/base/clock.h"
#include "tests/support/engine_calls.h"
#include "tests/support/reference_search.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct GroupHit {
  std::string value;  // as text
  std::string id;
  float score = 0;
  friend bool operator==(const GroupHit&, const GroupHit&) = default;
  friend std::ostream& operator<<(std::ostream& out, const GroupHit& hit) {
    return out << hit.value << " " << hit.id << " " << hit.score;
  }
};

std::string TextOf(const AttributeScalar& value) {
  if (const auto* number = std::get_if<double>(&value)) return absl::StrCat(*number);
  if (const auto* integer = std::get_if<int64_t>(&value)) return absl::StrCat(*integer);
  if (const auto* text = std::get_if<std::string>(&value)) return absl::StrCat("'", *text);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  return FormatTimestamp(std::get<Timestamp>(value));
}

class EngineGroupTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  static constexpr uint32_t kDims = 12;
  static constexpr size_t kDocuments = 1200;

  void SetUp() override {
    Open();
    ASSERT_TRUE(
        engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3}, model_).ok());
    ASSERT_NO_FATAL_FAILURE(Write(0, kDocuments));
  }
  void Open() {
    engine_.reset();
    engine_ = *Engine::Open({.data_dir = directory_.path(), .threads = 2});
  }

  // Few values have most documents, as in life. Some have none, some several, some a number of either type.
  Attributes RandomAttributes() {
    Attributes attributes;
    const auto skewed = [&](uint32_t values) {
      const double u = std::uniform_real_distribution<double>(0, 1)(random_);
      return static_cast<int64_t>(u * u * u * values);
    };
    if (random_() % 10 != 0) attributes["few"] = absl::StrCat("section ", skewed(6));
    if (random_() % 3 != 0) attributes["many"] = skewed(400);
    const int64_t number = skewed(40);
    if (random_() % 2 == 0) {
      attributes["mixed"] = number;
    } else {
      attributes["mixed"] = random_() % 2 == 0 ? static_cast<double>(number) : static_cast<double>(number) + 0.5;
    }
    AttributeList tags;
    for (size_t i = random_() % 4; i > 0; --i) tags.emplace_back(absl::StrCat("tag ", skewed(12)));
    if (random_() % 6 == 0) attributes["tags"] = absl::StrCat("tag ", skewed(12));
    if (!tags.empty()) attributes["tags"] = tags;
    attributes["half"] = random_() % 2 == 0;
    return attributes;
  }
  void Write(size_t begin, size_t end) {
    UpsertRequest request{.collection = "c"};
    for (size_t i = begin; i < end; ++i) {
      const std::string id = absl::StrCat("d", i % kDocuments);
      const std::vector<float>& row = rows_[random_() % rows_.size()];  // some alike
      const Attributes attributes = RandomAttributes();
      reference_.Upsert(id, row, attributes);
      request.documents.push_back({.id = id, .attributes = attributes, .embeddings = {{.values = row}}});
    }
    const auto result = UpsertAndWait(*engine_, std::move(request));
    ASSERT_TRUE(result.ok()) << result.status();
  }
  void Delete(size_t count) {
    std::vector<std::string> ids;
    for (size_t i = 0; i < count; ++i) {
      ids.push_back(absl::StrCat("d", random_() % kDocuments));
      reference_.Delete(ids.back());
    }
    ASSERT_TRUE(DeleteAndWait(*engine_, "c", ids).ok());
  }

  std::vector<std::string> ValuesOf(const std::string& id, const std::string& attribute) const {
    const Attributes& attributes = reference_.documents().at(id).attributes;
    const auto found = attributes.find(attribute);
    if (found == attributes.end()) return {};
    std::vector<std::string> values;
    if (const auto* list = std::get_if<AttributeList>(&found->second)) {
      for (const AttributeScalar& value : *list) values.push_back(TextOf(value));
    } else {
      values.push_back(TextOf(ToScalar(found->second)));
    }
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return values;
  }

  // What a search by groups without rerank says, by sorting everything.
  std::vector<GroupHit> Expected(const SearchRequest& request,
                                 const std::function<bool(const Attributes&)>& accept = {}) const {
    std::map<std::string, std::vector<GroupHit>> groups;
    for (const auto& hit : reference_.Search({request.queries[0].begin(), request.queries[0].end()}, 100000, accept)) {
      if (request.min_score.has_value() && hit.score < *request.min_score) break;
      if (std::count(request.exclude_ids.begin(), request.exclude_ids.end(), hit.id) > 0) continue;
      for (const std::string& value : ValuesOf(hit.id, request.group_by)) {
        std::vector<GroupHit>& group = groups[value];
        if (group.size() < request.group_size) group.push_back({value, hit.id, hit.score});
      }
    }
    std::vector<std::vector<GroupHit>> sorted;
    for (auto& [value, group] : groups) sorted.push_back(std::move(group));
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return a[0].score != b[0].score ? a[0].score > b[0].score : a[0].id < b[0].id;
    });
    if (sorted.size() > request.k) sorted.resize(request.k);
    std::vector<GroupHit> hits;
    for (const auto& group : sorted) hits.insert(hits.end(), group.begin(), group.end());
    return hits;
  }
  // The same with rerank: the documents that are scored again come first.
  std::vector<GroupHit> ExpectedReranked(const SearchRequest& request) const {
    const std::vector<float> query(request.queries[0].begin(), request.queries[0].end());
    std::map<std::string, float> exact;
    for (const auto& hit : reference_.SearchExact(query, 100000)) exact[hit.id] = hit.score;
    std::vector<ReferenceCollection::Hit> all;
    for (const auto& hit : reference_.Search(query, 100000)) {
      if (!ValuesOf(hit.id, request.group_by).empty()) all.push_back(hit);
    }
    std::vector<ReferenceCollection::Hit> ranked = all;
    const size_t deep = std::min(request.rerank, all.size());
    for (size_t i = 0; i < deep; ++i) ranked[i].score = exact.at(ranked[i].id);
    std::sort(ranked.begin(), ranked.begin() + static_cast<ptrdiff_t>(deep),
              [](const auto& a, const auto& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; });
    std::vector<std::string> chosen;
    std::map<std::string, std::vector<GroupHit>> groups;
    for (size_t i = 0; i < ranked.size(); ++i) {
      for (const std::string& value : ValuesOf(ranked[i].id, request.group_by)) {
        if (!groups.contains(value)) {
          if (chosen.size() == request.k) continue;
          chosen.push_back(value);
        }
        std::vector<GroupHit>& group = groups[value];
        if (i < deep && group.size() < request.group_size) group.push_back({value, ranked[i].id, ranked[i].score});
      }
    }
    for (const std::string& value : chosen) {
      std::vector<GroupHit>& group = groups[value];
      if (group.size() == request.group_size) continue;
      group.clear();
      for (const auto& hit : all) {  // its best by estimate
        const std::vector<std::string> values = ValuesOf(hit.id, request.group_by);
        if (group.size() < request.group_size && std::count(values.begin(), values.end(), value) > 0)
          group.push_back({value, hit.id, exact.at(hit.id)});
      }
      std::sort(group.begin(), group.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    }
    std::sort(chosen.begin(), chosen.end(), [&](const std::string& a, const std::string& b) {
      const GroupHit &x = groups[a][0], &y = groups[b][0];
      return x.score != y.score ? x.score > y.score : x.id != y.id ? x.id < y.id : a < b;
    });
    std::vector<GroupHit> hits;
    for (const std::string& value : chosen) hits.insert(hits.end(), groups[value].begin(), groups[value].end());
    return hits;
  }

  std::vector<GroupHit> Found(const std::vector<SearchHit>& found) const {
    std::vector<GroupHit> hits;
    for (const SearchHit& hit : found) {
      EXPECT_TRUE(hit.group.has_value());
      if (hit.group.has_value()) hits.push_back({TextOf(ToScalar(*hit.group)), hit.id, hit.score});
    }
    return hits;
  }
  std::vector<GroupHit> Hits(SearchRequest request) {
    request.collection = "c";
    auto result = SearchAndWait(*engine_, std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? Found(result->hits.at(0)) : std::vector<GroupHit>{};
  }
  std::string Refusal(SearchRequest request) {
    request.collection = "c";
    request.queries = {queries_[0]};
    return SearchAndWait(*engine_, std::move(request)).status().ToString();
  }

  std::mt19937_64 random_{GetParam()};
  const std::string model_ = RandomModelFile(kDims, *ParseCodeSpec("24x2"), 4, 1);
  ReferenceCollection reference_{model_};
  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  const std::vector<std::vector<float>> rows_ = RandomVectors(1000, kDims, 2);
  const std::vector<std::vector<float>> queries_ = RandomVectors(20, kDims, 3);
};

TEST_P(EngineGroupTest, IsWhatSortingEverythingSays) {
  for (int round = 0; round < 3; ++round) {
    for (const char* attribute : {"few", "many", "mixed", "tags", "half"}) {
      for (const auto& [k, group_size] : {std::pair(1, 1), {5, 1}, {3, 4}, {30, 3}, {100, 100}, {1000, 1}}) {
        SearchRequest request{.queries = {queries_[random_() % queries_.size()]}, .k = static_cast<size_t>(k)};
        request.group_by = attribute;
        request.group_size = static_cast<size_t>(group_size);
        EXPECT_EQ(Hits(request), Expected(request)) << attribute << " " << k << " x " << group_size;
      }
    }
    Write(random_() % kDocuments, kDocuments + random_() % 200);
    Delete(100);
    if (round == 1) Open();
  }
}

TEST_P(EngineGroupTest, WithFilterExclusionsAndAThreshold) {
  SearchRequest request{.queries = {queries_[1]}, .k = 8};
  request.group_by = "tags";
  request.group_size = 2;
  const std::vector<GroupHit> plain = Expected(request);
  ASSERT_GT(plain.size(), 8u);
  for (const size_t i : {size_t{0}, size_t{1}, plain.size() - 1}) request.exclude_ids.push_back(plain[i].id);
  EXPECT_EQ(Hits(request), Expected(request));
  request.min_score = plain[plain.size() / 2].score;
  EXPECT_EQ(Hits(request), Expected(request));
  request.filter = "half = true AND tags CONTAINS ANY (\"tag 1\", \"tag 3\")";
  EXPECT_EQ(Hits(request), Expected(request, [](const Attributes& attributes) {
              const auto tags = attributes.find("tags");
              if (!std::get<bool>(attributes.at("half")) || tags == attributes.end()) return false;
              const auto* list = std::get_if<AttributeList>(&tags->second);
              return list != nullptr && std::any_of(list->begin(), list->end(), [](const AttributeScalar& tag) {
                       return tag == AttributeScalar("tag 1") || tag == AttributeScalar("tag 3");
                     });
            }));
}

TEST_P(EngineGroupTest, TheFirstLevelsChangeNothing) {
  for (const char* attribute : {"few", "many"}) {
    SearchRequest request{.queries = {queries_[2]}, .k = 12, .first_levels = 1};
    request.group_by = attribute;
    request.group_size = 3;
    EXPECT_EQ(Hits(request), Expected(request)) << attribute;
    request.candidates = kDocuments;  // all of them
    EXPECT_EQ(Hits(request), Expected(request)) << attribute;
  }
}

TEST_P(EngineGroupTest, RerankScoresTheBestAndThoseThatFillGroups) {
  for (const char* attribute : {"few", "many", "tags"}) {
    for (const auto& [k, group_size, rerank] : {std::tuple(3, 1, 3), {4, 2, 60}, {30, 3, 90}, {100, 2, 1000}}) {
      SearchRequest request{.queries = {queries_[random_() % queries_.size()]},
                            .k = static_cast<size_t>(k),
                            .rerank = static_cast<size_t>(rerank)};
      request.group_by = attribute;
      request.group_size = static_cast<size_t>(group_size);
      EXPECT_EQ(Hits(request), ExpectedReranked(request)) << attribute << " " << k << " x " << group_size;
    }
  }
}

TEST_P(EngineGroupTest, OfExamples) {
  for (const auto& [attribute, group_size] : {std::pair("few", 3), {"many", 1}, {"tags", 2}}) {
    ExampleRequest like{.collection = "c"};
    for (int i = 0; i < 3; ++i) like.positive_ids.push_back(absl::StrCat("d", random_() % kDocuments));
    like.negative_ids = {absl::StrCat("d", random_() % kDocuments)};
    like.positives = {queries_[3]};
    const auto query = engine_->Recommend(like);
    ASSERT_TRUE(query.ok()) << query.status();
    SearchRequest request{.k = 9, .exclude_ids = like.positive_ids};
    request.exclude_ids.push_back(like.negative_ids[0]);
    request.group_by = attribute;
    request.group_size = static_cast<size_t>(group_size);
    SearchRequest expected = request;
    expected.queries = {*query};
    request.like = like;
    EXPECT_EQ(Hits(request), Expected(expected)) << attribute;
    request.rerank = expected.rerank = 100;
    request.exclude_ids.clear();
    EXPECT_EQ(Hits(request), ExpectedReranked(expected)) << attribute;
  }
}

TEST_P(EngineGroupTest, ManyQueriesAreEachOnTheirOwn) {
  SearchRequest request{.collection = "c", .k = 7, .with_attributes = true, .explain = true};
  for (size_t i = 0; i < 50; ++i) request.queries.push_back(queries_[i % queries_.size()]);
  request.group_by = "many";
  request.group_size = 2;
  const auto result = SearchAndWait(*engine_, request);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->hits.size(), 50u);
  for (size_t i = 0; i < 50; ++i) {
    SearchRequest one = request;
    one.queries = {request.queries[i]};
    EXPECT_EQ(Found(result->hits[i]), Expected(one)) << i;
    for (const SearchHit& hit : result->hits[i]) {
      EXPECT_EQ(hit.attributes, reference_.documents().at(hit.id).attributes);
      ASSERT_NE(hit.explanation, nullptr);
      EXPECT_EQ(hit.explanation->estimate, hit.score);
    }
  }
}

TEST_P(EngineGroupTest, WhatCannotBeGroupedIsSaid) {
  const auto with = [](SearchRequest request, std::string group_by, size_t group_size) {
    request.group_by = std::move(group_by);
    request.group_size = group_size;
    return request;
  };
  EXPECT_THAT(Refusal(with({}, "few", 0)), HasSubstr("group_size is 0; it is 1 to 100"));
  EXPECT_THAT(Refusal(with({}, "few", 101)), HasSubstr("group_size is 101"));
  EXPECT_THAT(Refusal(with({.k = 5000}, "few", 3)), HasSubstr("their product is at most 10000"));
  EXPECT_THAT(Refusal(with({.offset = 1}, "few", 1)), HasSubstr("group_by is set with offset"));
  EXPECT_THAT(Refusal(with({.fusion = Fusion::kMax}, "few", 1)), HasSubstr("group_by is set with fusion"));
  EXPECT_THAT(Refusal(with({.rerank = 12}, "few", 2)), HasSubstr("k times group_size (20)"));
  EXPECT_THAT(Refusal(with({.strict = true}, "nothing", 1)), HasSubstr("no document has an attribute \"nothing\""));
  SearchRequest request{.collection = "c", .queries = {queries_[0]}};
  request.group_by = "nothing";
  const auto result = SearchAndWait(*engine_, request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->hits[0], IsEmpty());
  EXPECT_THAT(result->warnings, ::testing::ElementsAre("no document has an attribute \"nothing\""));
}

TEST_P(EngineGroupTest, MemoryThatIsRefusedEndsIt) {
  SearchRequest request{.collection = "c", .queries = {queries_[0], queries_[1]}, .k = 5};
  request.group_by = "many";
  request.take_memory = [](uint64_t) { return absl::ResourceExhaustedError("no room"); };
  EXPECT_EQ(SearchAndWait(*engine_, request).status().code(), absl::StatusCode::kResourceExhausted);
  request.take_memory = nullptr;
  request.max_result_bytes = 20;
  EXPECT_EQ(SearchAndWait(*engine_, request).status().code(), absl::StatusCode::kResourceExhausted);
  // Of a part the values of its hits too, before all of them are there.
  request.part = true;
  request.max_result_bytes = 1;
  EXPECT_THAT(Refusal(request), HasSubstr("the values of \"many\" of the hits have over 1 bytes"));
  request.max_result_bytes = 0;
  std::atomic<size_t> asked{0};
  request.take_memory = [&asked](uint64_t) {
    ++asked;
    return absl::OkStatus();
  };
  const auto part = SearchAndWait(*engine_, request);
  ASSERT_TRUE(part.ok()) << part.status();
  EXPECT_GE(part->hits[0].size(), 5u);
  EXPECT_GE(asked, part->hits[0].size() + part->hits[1].size());  // for each hit, and for scans
  request.part = false;
  request.take_memory = nullptr;
  request.deadline = SteadyNow();
  EXPECT_EQ(SearchAndWait(*engine_, request).status().code(), absl::StatusCode::kDeadlineExceeded);
}

INSTANTIATE_TEST_SUITE_P(Seeds, EngineGroupTest, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace bebr::testing
