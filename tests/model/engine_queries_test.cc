// Searches with any options together, and what reads a collection without a query, against a plain re-telling of what
// they say; with writes of every kind in between, restarts, and views of moments that have passed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/simd/kernels.h"
#include "tests/model/plain_queries.h"
#include "tests/support/engine_calls.h"
#include "tests/support/reference_search.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

struct Case {
  const char* shape;
  uint32_t groups;
  Metric metric;
};

// The documents of one moment.
struct Moment {
  std::map<std::string, std::pair<std::vector<float>, Attributes>> documents;
  std::string token;  // of the view that is kept of it; empty: the present
};

int64_t NumberOf(const Attributes& attributes) {
  const auto number = attributes.find("n");
  return number == attributes.end() ? -1 : std::get<int64_t>(number->second);
}
bool HasTag(const Attributes& attributes, const std::string& tag) {
  const auto tags = attributes.find("tags");
  if (tags == attributes.end()) return false;
  const auto& list = std::get<AttributeList>(tags->second);
  return std::find(list.begin(), list.end(), AttributeScalar(tag)) != list.end();
}
class EngineQueriesTest : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr uint32_t kDims = 14;
  static constexpr size_t kIds = 250;

  void SetUp() override {
    if (const char* name = std::getenv("BEBR_SIMD"); name != nullptr && !simd::FindKernels(name)->supported())
      GTEST_SKIP() << "this processor has no " << name;
    Open();
    ASSERT_TRUE(
        engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3}, model_).ok());
    checksum_ = engine_->GetCollection("c")->versions.at(0).model_checksum;
  }
  void Open() {
    engine_.reset();
    engine_ = *Engine::Open({.data_dir = directory_.path(), .threads = 2});
    kept_.clear();
  }

  size_t Below(size_t bound) { return random_() % bound; }
  bool Maybe(size_t of = 2) { return Below(of) == 0; }
  std::string RandomId() { return absl::StrCat(Maybe(8) ? "é" : "d", Below(kIds)); }
  std::vector<std::string> RandomIds(size_t most) {
    std::set<std::string> ids;
    for (size_t i = Below(most + 1); i > 0; --i) ids.insert(RandomId());
    return {ids.begin(), ids.end()};
  }
  Attributes RandomAttributes() {
    Attributes attributes;
    if (!Maybe(6)) attributes["n"] = static_cast<int64_t>(Below(9));
    if (!Maybe(3)) attributes["word"] = absl::StrCat("w", Below(4));
    if (!Maybe(3)) attributes["tags"] = AttributeList{absl::StrCat("t", Below(3)), absl::StrCat("t", Below(5))};
    return attributes;
  }
  Condition Simple() {
    const auto n = static_cast<int64_t>(Below(9));
    const std::string tag = absl::StrCat("t", Below(5)), word = absl::StrCat("w", Below(4)), id = RandomId();
    switch (Below(5)) {
      case 0:
        return {absl::StrCat("n <= ", n), [n](auto&, auto& a) { return a.contains("n") && NumberOf(a) <= n; }};
      case 1:
        return {absl::StrCat("tags CONTAINS \"", tag, "\""), [tag](auto&, auto& a) { return HasTag(a, tag); }};
      case 2:
        return {absl::StrCat("word = \"", word, "\""), [word](auto&, auto& a) {
                  return a.contains("word") && a.find("word")->second == AttributeValue(word);
                }};
      case 3:
        return {absl::StrCat("id >= \"", id, "\""), [id](auto& i, auto&) { return i >= id; }};
      default:
        return {absl::StrCat("id IN (\"", id, "\", \"d7\")"), [id](auto& i, auto&) { return i == id || i == "d7"; }};
    }
  }
  Condition RandomCondition() {
    const Condition a = Simple(), b = Simple();
    switch (Below(4)) {
      case 0:
        return a;
      case 1:
        return {absl::StrCat("NOT (", a.text, ")"), [a](auto& i, auto& x) { return !a.holds(i, x); }};
      case 2:
        return {absl::StrCat(a.text, " AND ", b.text),
                [a, b](auto& i, auto& x) { return a.holds(i, x) && b.holds(i, x); }};
      default:
        return {absl::StrCat(a.text, " OR ", b.text),
                [a, b](auto& i, auto& x) { return a.holds(i, x) || b.holds(i, x); }};
    }
  }
  // Or none.
  Condition RandomFilter() {
    return Maybe() ? RandomCondition() : Condition{"", [](auto&, auto&) { return true; }};
  }

  // ---- Writes ----

  void Upsert() {
    UpsertRequest request{.collection = "c", .mode = static_cast<UpsertMode>(Below(3))};
    const bool merges = request.mode == UpsertMode::kMerge;
    request.only_if_absent = !merges && Maybe(4);
    if (Maybe()) request.model_checksum = checksum_;
    for (size_t i = 0; i < 40; ++i) {
      DocumentInput& input = request.documents.emplace_back();
      input.id = RandomId();
      if (!merges) input.attributes = RandomAttributes();
      const std::vector<float>& values = pool_[Below(pool_.size())];
      input.embeddings.push_back({.values = values});
      const bool exists = now_.documents.contains(input.id);
      if (merges ? !exists : request.only_if_absent && exists) continue;
      auto& document = now_.documents[input.id];
      document.first = values;
      if (!merges) document.second = input.attributes;
    }
    const auto result = UpsertAndWait(*engine_, std::move(request));
    ASSERT_TRUE(result.ok()) << result.status();
  }
  void Update() {
    AttributeUpdate update{.collection = "c"};
    update.change.clear = Maybe(4);
    if (Maybe()) update.change.remove = {"word"};
    if (Maybe() || (!update.change.clear && update.change.remove.empty()))
      update.change.set["n"] = static_cast<int64_t>(Below(9));
    const bool by_ids = Maybe();
    const Condition condition = RandomCondition();
    if (by_ids) {
      update.ids = {RandomId(), RandomId()};
    } else {
      update.filter = condition.text;
    }
    for (auto& [id, document] : now_.documents) {
      if (by_ids ? std::count(update.ids.begin(), update.ids.end(), id) == 0 : !condition.holds(id, document.second))
        continue;
      if (update.change.clear) document.second.clear();
      for (const std::string& name : update.change.remove) document.second.erase(name);
      for (const auto& [name, value] : update.change.set) document.second[name] = value;
    }
    auto outcome = std::make_shared<std::promise<absl::Status>>();
    engine_->UpdateAttributes(std::move(update), [outcome](auto result) { outcome->set_value(result.status()); });
    const absl::Status status = outcome->get_future().get();
    ASSERT_TRUE(status.ok()) << status;
  }
  void Delete() {
    if (Maybe()) {
      const std::vector<std::string> ids = {RandomId(), RandomId(), RandomId()};
      for (const std::string& id : ids) now_.documents.erase(id);
      ASSERT_TRUE(DeleteAndWait(*engine_, "c", ids).ok());
      return;
    }
    const Condition a = Simple(), b = Simple();
    std::erase_if(now_.documents, [&](const auto& entry) {
      return a.holds(entry.first, entry.second.second) && b.holds(entry.first, entry.second.second);
    });
    auto outcome = std::make_shared<std::promise<absl::Status>>();
    engine_->DeleteByFilter({.collection = "c", .filter = absl::StrCat(a.text, " AND ", b.text)},
                            [outcome](auto result) { outcome->set_value(result.status()); });
    const absl::Status status = outcome->get_future().get();
    ASSERT_TRUE(status.ok()) << status;
  }

  // ---- Searches ----

  RankedList RandomList() {
    RankedList list;
    float score = 2;
    for (const std::string& id : RandomIds(60)) {
      list.ids.push_back(id);
      list.scores.push_back(score -= 0.125f);
    }
    return list;
  }

  SearchRequest RandomRequest(const ReferenceCollection& reference, const Condition& filter) {
    SearchRequest request{.collection = "c", .filter = filter.text};
    if (Maybe()) request.version = "v1";
    if (Maybe()) request.model_checksum = checksum_;
    request.queries.push_back(queries_[Below(queries_.size())]);
    request.k = 1 + Below(Maybe(4) ? 400 : 30);
    if (Maybe(3)) request.exclude_ids = RandomIds(40);
    request.with_attributes = Maybe();
    request.explain = Maybe(3);
    if (Maybe(3)) {
      request.group_by = "word";
      request.group_size = 1 + Below(4);
      request.k = 1 + Below(6);
    } else {
      if (Maybe(3)) request.offset = Below(60);
      if (Maybe()) request.rerank = request.offset + request.k + Below(50);
      if (Maybe(3)) Fuse(request);
    }
    // Bounds, or every document a candidate: neither may change anything.
    if (Maybe(3)) request.first_levels = static_cast<uint32_t>(1 + Below(3));
    if (request.first_levels > 0 && Maybe()) request.candidates = kMaxCandidates;
    if (Maybe(3)) request.probe = static_cast<float>(1 + Below(9)) / 10;
    if (Maybe(4)) {
      const Ranked all = FoundPlainly(reference, request, request.queries[0], filter, kIds * 3);
      if (all.size() > 3) {
        const size_t at = Below(all.size() - 1);
        // Between scores that differ, however they are rounded.
        request.min_score = request.rerank > 0 ? (all[at].score + all[at + 1].score) / 2 : all[at].score;
      }
    }
    return request;
  }
  void Fuse(SearchRequest& request) {
    request.fusion = static_cast<Fusion>(1 + Below(3));
    for (size_t i = Below(3); i > 0; --i) request.queries.push_back(queries_[Below(queries_.size())]);
    for (size_t i = Below(3); i > 0; --i) request.lists.push_back(RandomList());
    if (Maybe()) request.versions.assign(request.queries.size(), "v1");
    if (!Maybe()) return;
    for (size_t i = 0; i < request.queries.size() + request.lists.size(); ++i)
      request.weights.push_back(static_cast<float>(1 + Below(4)) / 2);
  }
  void Compare(const SearchResult& result, const SearchRequest& request, const Ranked& expected,
               const ReferenceCollection& reference) {
    const std::vector<SearchHit>& hits = result.hits.at(0);
    ASSERT_EQ(hits.size(), expected.size());
    const bool rounds = request.fusion != Fusion::kNone;
    std::set<std::string> seen;
    for (size_t i = 0; i < hits.size(); ++i) {
      if (!rounds) {
        EXPECT_EQ(hits[i].id, expected[i].id) << i;  // sums of a fusion may be rounded to either side of another
      }
      EXPECT_NEAR(hits[i].score, expected[i].score,
                  request.rerank > 0 || rounds ? 2e-5 * std::max(1.0f, std::fabs(expected[i].score)) : 0);
      EXPECT_EQ(hits[i].score_kind, rounds               ? ScoreKind::kFused
                                    : request.rerank > 0 ? ScoreKind::kExact
                                                         : ScoreKind::kEstimated);
      EXPECT_TRUE(seen.insert(hits[i].id).second) << hits[i].id;
      EXPECT_EQ(hits[i].version, "v1");
      const auto document = reference.documents().find(hits[i].id);
      ASSERT_NE(document, reference.documents().end()) << hits[i].id;
      EXPECT_EQ(hits[i].attributes, request.with_attributes ? document->second.attributes : Attributes());
      if (!request.group_by.empty()) {
        EXPECT_EQ(hits[i].group, document->second.attributes.at("word"));
      }
      if (!rounds) {
        EXPECT_EQ(hits[i].explanation != nullptr, request.explain);
      }
      if (hits[i].explanation != nullptr && request.rerank == 0 && !rounds) {
        EXPECT_EQ(hits[i].explanation->estimate, hits[i].score);
      }
    }
  }

  void Search(const Moment& moment, const ReferenceCollection& reference) {
    const Condition filter = RandomFilter();
    SearchRequest request = RandomRequest(reference, filter);
    request.view_token = moment.token;
    SCOPED_TRACE(absl::StrCat("filter '", filter.text, "', k ", request.k, ", offset ", request.offset, ", rerank ",
                              request.rerank, ", fusion ", static_cast<int>(request.fusion), ", group_by '",
                              request.group_by, "', first_levels ", request.first_levels, ", probe ", request.probe,
                              ", view ", moment.token));
    const auto result = SearchAndWait(*engine_, request);
    ASSERT_TRUE(result.ok()) << result.status();
    Compare(*result, request, ExpectedOf(reference, request, filter), reference);
  }
  // By examples: as by the query that they make.
  void SearchLike(const Moment& moment, const ReferenceCollection& reference) {
    if (reference.documents().size() < 20) return;
    SearchRequest request{.collection = "c", .k = 10};
    request.like = ExampleRequest{.collection = "c"};
    std::vector<double> mean(kDims), away(kDims);
    for (size_t i = 0; i < 3; ++i) {
      const auto& [id, entry] = *std::next(reference.documents().begin(), static_cast<ptrdiff_t>(Below(20)));
      (i < 2 ? request.like->positive_ids : request.like->negative_ids).push_back(id);
      request.exclude_ids.push_back(id);
      double square = 0;
      for (const float value : entry.embedding) square += double{value} * value;
      const double unit = GetParam().metric == Metric::kCosine ? 1 / std::sqrt(square) : 1;
      for (uint32_t d = 0; d < kDims; ++d) (i < 2 ? mean : away)[d] += unit * entry.embedding[d] / (i < 2 ? 2 : 1);
    }
    std::vector<float> query;
    for (uint32_t d = 0; d < kDims; ++d) query.push_back(static_cast<float>(2 * mean[d] - away[d]));
    request.rerank = kIds * 3;
    request.view_token = moment.token;
    const auto result = SearchAndWait(*engine_, request);
    ASSERT_TRUE(result.ok()) << result.status();
    request.queries = {query};
    Compare(*result, request, ExpectedOf(reference, request, {"", [](auto&, auto&) { return true; }}), reference);
  }

  // ---- Without a query ----

  void Browse(const Moment& moment) {
    const Condition filter = RandomFilter();
    PageRequest page{.collection = "c", .filter = filter.text, .limit = 1 + Below(80), .with_attributes = Maybe()};
    page.with_embeddings = Maybe();
    page.view_token = moment.token;
    std::map<std::string, uint64_t> words;
    uint64_t count = 0;
    std::vector<PageDocument> pages;
    do {
      auto read = engine_->Scroll(page);
      ASSERT_TRUE(read.ok()) << read.status();
      std::move(read->documents.begin(), read->documents.end(), std::back_inserter(pages));
      page.after = read->next;
    } while (!page.after.empty());
    for (const auto& [id, document] : moment.documents) {
      if (!filter.holds(id, document.second)) continue;
      const auto word = document.second.find("word");
      if (word != document.second.end()) ++words[std::get<std::string>(word->second)];
      ASSERT_LT(count, pages.size());
      const Document& found = pages[count++].document;
      ASSERT_EQ(found.id, id);
      ASSERT_EQ(found.attributes, page.with_attributes ? document.second : Attributes());
      ASSERT_EQ(found.embeddings.size(), page.with_embeddings ? 1u : 0u);
      if (page.with_embeddings) {
        ASSERT_EQ(found.embeddings[0].values, document.first);
      }
    }
    ASSERT_EQ(count, pages.size());
    if (!moment.token.empty()) return;  // what follows is of the present
    const auto counted = engine_->Count("c", filter.text);
    ASSERT_TRUE(counted.ok() && *counted == count) << counted.status();
    const auto facets = engine_->Facets({.collection = "c", .filter = filter.text, .attribute = "word"});
    ASSERT_TRUE(facets.ok()) << facets.status();
    std::map<std::string, uint64_t> found;
    for (const Facet& facet : facets->facets) found[std::get<std::string>(facet.value)] = facet.documents;
    EXPECT_EQ(found, words);
  }

  void CompareAll(const Moment& moment) {
    ReferenceCollection reference(model_);
    for (const auto& [id, document] : moment.documents) reference.Upsert(id, document.first, document.second);
    for (int i = 0; i < 25; ++i) ASSERT_NO_FATAL_FAILURE(Search(moment, reference));
    for (int i = 0; i < 3; ++i) ASSERT_NO_FATAL_FAILURE(SearchLike(moment, reference));
    for (int i = 0; i < 5; ++i) ASSERT_NO_FATAL_FAILURE(Browse(moment));
  }
  void Keep() {
    PageRequest page{.collection = "c", .limit = 1, .keep_view = absl::Seconds(600)};
    const auto kept = engine_->Scroll(page);
    ASSERT_TRUE(kept.ok()) << kept.status();
    kept_.push_back(now_);
    kept_.back().token = kept->view_token;
  }

  std::mt19937_64 random_{11};
  const std::string model_ = RandomModelFile(kDims, WithGroups(*ParseCodeSpec(GetParam().shape), GetParam().groups),
                                             ParseCodeSpec(GetParam().shape)->trellis() ? 6 : 4, 1, GetParam().metric);
  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  uint32_t checksum_ = 0;
  Moment now_;
  std::vector<Moment> kept_;
  // Few different vectors: many equal scores, so ids must break the ties.
  const std::vector<std::vector<float>> pool_ = RandomVectors(90, kDims, 2);
  const std::vector<std::vector<float>> queries_ = RandomVectors(10, kDims, 3);
};

TEST_P(EngineQueriesTest, AllOptionsTogetherAreWhatTheySay) {
  for (int round = 0; round < 12; ++round) {
    for (int write = 0; write < 6; ++write) {
      ASSERT_NO_FATAL_FAILURE(Upsert());
      if (round == 0) continue;  // filters of writes want attributes that some document has
      ASSERT_NO_FATAL_FAILURE(Update());
      if (Maybe()) {
        ASSERT_NO_FATAL_FAILURE(Delete());
      }
    }
    if (round % 5 == 4) Open();
    ASSERT_NO_FATAL_FAILURE(CompareAll(now_));
    if (!kept_.empty()) {
      ASSERT_NO_FATAL_FAILURE(CompareAll(kept_[Below(kept_.size())]));
    }
    ASSERT_NO_FATAL_FAILURE(Keep());
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, EngineQueriesTest,
                         ::testing::Values(Case{"40x3+24x1", 1, Metric::kCosine}, Case{"33x2", 1, Metric::kL2},
                                           Case{"64x4", 1, Metric::kInnerProduct}, Case{"48x2", 6, Metric::kCosine},
                                           Case{"33x2t+40x1t+8x4", 1, Metric::kCosine},
                                           Case{"40x3t+20x1", 5, Metric::kL2}));

}  // namespace
}  // namespace bebr::testing
