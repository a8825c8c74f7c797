// Collections without a model file: they serve at once, learn from what comes in, and never serve worse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/exact/neighbors.h"
#include "tests/support/engine_calls.h"
#include "tests/unit/fit/clusters.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kDims = 48;
constexpr size_t kQueries = 50;

class EngineLearnTest : public ::testing::Test {
 protected:
  EngineLearnTest() : rows_(Clusters(5000, kDims, 1)), queries_(Clusters(kQueries, kDims, 2)) {}

  void SetUp() override { Open(); }
  void Open(absl::Duration pace = absl::Milliseconds(100), uint64_t compared_per_s = 50000) {
    engine_.reset();
    auto engine = Engine::Open({.data_dir = directory_.path(),
                                .threads = 2,
                                .recall_monitor_documents_per_s = compared_per_s,
                                .auto_first_documents = 500,
                                .auto_pace = pace});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  void Create(FloatStorage storage) {
    ASSERT_TRUE(engine_
                    ->CreateCollection({.name = "c",
                                        .store_floats = storage,
                                        .shards = 2,
                                        .auto_binarizer = AutoBinarizerConfig{.dims = kDims, .bits = 96}},
                                       "")
                    .ok());
  }
  void Write(size_t first, size_t end) {
    for (; first < end; first += 100) {
      UpsertRequest request{.collection = "c"};
      for (size_t i = first; i < std::min(first + 100, end); ++i) {
        DocumentInput& document = request.documents.emplace_back();
        document.id = absl::StrCat(i);
        document.embeddings.push_back({.values = absl::MakeConstSpan(rows_.row(i), kDims)});
      }
      const auto result = UpsertAndWait(*engine_, std::move(request));
      ASSERT_TRUE(result.ok()) << result.status();
    }
  }
  // Recall@10 of searches among the first `documents`.
  double Recall(size_t documents, bool collection_rerank) {
    Matrix there{documents, kDims, {rows_.values.begin(), rows_.values.begin() + documents * kDims}};
    const auto exact = ExactNeighbors(there, queries_, 10, Metric::kCosine, 1);
    SearchRequest request{.collection = "c", .collection_rerank = collection_rerank};
    for (size_t q = 0; q < kQueries; ++q) request.queries.push_back(absl::MakeConstSpan(queries_.row(q), kDims));
    const auto result = SearchAndWait(*engine_, std::move(request));
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return 0;
    size_t found = 0;
    for (size_t q = 0; q < kQueries; ++q) {
      std::set<std::string> ids;
      for (const SearchHit& hit : result->hits[q]) ids.insert(hit.id);
      for (size_t i = 0; i < 10; ++i) found += ids.count(absl::StrCat(exact[q * 10 + i]));
    }
    return static_cast<double>(found) / (10.0 * kQueries);
  }
  CollectionInfo Info() { return *engine_->GetCollection("c"); }
  template <typename Condition>
  bool WaitUntil(Condition condition) {
    for (int i = 0; i < 18000; ++i) {  // the learner yields to all others: on a busy machine it waits
      if (condition(Info())) return true;
      absl::SleepFor(absl::Milliseconds(10));
    }
    const CollectionInfo last = Info();
    for (const AutoEvent& event : last.auto_info->events) ADD_FAILURE() << event.text;
    ADD_FAILURE() << last.auto_info->error;
    return false;
  }
  static size_t VersionsInUse(const CollectionInfo& info) {
    size_t count = 0;
    for (const VersionInfo& version : info.versions) count += version.state != VersionState::kRetired ? 1 : 0;
    return count;
  }

  TemporaryDirectory directory_;
  const Matrix rows_, queries_;
  std::unique_ptr<Engine> engine_;
};

// Signs of floats that are all positive tell nothing: until there is a mean, the floats do.
TEST_F(EngineLearnTest, DistancesFarFromZeroAreFoundBeforeTheFirstFit) {
  const AutoBinarizerConfig distances{.dims = kDims, .bits = 96, .metric = Metric::kL2};
  ASSERT_TRUE(
      engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32, .auto_binarizer = distances}, "")
          .ok());
  constexpr size_t kFew = 490;
  Matrix far{kFew, kDims, {rows_.values.begin(), rows_.values.begin() + kFew * kDims}}, queries = queries_;
  for (float& value : far.values) value += 1000;
  for (float& value : queries.values) value += 1000;
  UpsertRequest request{.collection = "c"};
  for (size_t i = 0; i < kFew; ++i)
    request.documents.push_back(
        {.id = absl::StrCat(i), .embeddings = {{.values = absl::MakeConstSpan(far.row(i), kDims)}}});
  ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
  EXPECT_EQ(Info().default_rerank, 2000u);
  const auto exact = ExactNeighbors(far, queries, 10, Metric::kL2, 1);
  for (size_t q = 0; q < kQueries; ++q) {
    const auto found = SearchAndWait(
        *engine_,
        {.collection = "c", .queries = {absl::MakeConstSpan(queries.row(q), kDims)}, .collection_rerank = true});
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->hits[0].size(), 10u);
    for (size_t i = 0; i < 10; ++i) EXPECT_EQ(found->hits[0][i].id, absl::StrCat(exact[q * 10 + i]));
  }
}

TEST_F(EngineLearnTest, ServesAtOnceThenLearnsAndNothingGetsWorse) {
  Create(FloatStorage::kFloat16);
  Write(0, 450);
  EXPECT_EQ(Info().default_version, "auto-0");
  EXPECT_EQ(Info().auto_info->state, AutoState::kCollecting);
  EXPECT_GE(Recall(450, true), 0.99);
  // What the first binarizer finds without rerank among all that will be there when the next one is.
  Write(450, 499);
  std::atomic<bool> done{false};
  std::atomic<int> searches{0}, failures{0}, worse{0};
  std::thread client([&] {
    while (!done.load()) {
      SearchRequest request{.collection = "c", .k = 1};
      const size_t row = static_cast<size_t>(searches.fetch_add(1)) % 450;
      request.queries.push_back(absl::MakeConstSpan(rows_.row(row), kDims));
      request.collection_rerank = true;
      const auto result = SearchAndWait(*engine_, std::move(request));
      failures += result.ok() ? 0 : 1;
      worse += result.ok() && !result->hits[0].empty() && result->hits[0][0].id == absl::StrCat(row) ? 0 : 1;
    }
  });
  const double before = Recall(499, false);
  Write(499, 500);
  const bool learned = WaitUntil([](const CollectionInfo& info) { return info.auto_info->promotions == 1; });
  const double after = Recall(500, false);
  const bool retired = WaitUntil([](const CollectionInfo& info) { return VersionsInUse(info) == 1; });
  done.store(true);
  client.join();
  ASSERT_TRUE(learned && retired);
  EXPECT_GT(after, before);
  EXPECT_GT(searches.load(), 10);
  EXPECT_EQ(failures.load(), 0);
  EXPECT_EQ(worse.load(), 0);
  const CollectionInfo info = Info();
  EXPECT_EQ(info.default_version, "auto-1");
  EXPECT_EQ(info.versions[1].same_embeddings_as, "auto-0");
  EXPECT_EQ(info.versions[1].embeddings, 500u);
  EXPECT_EQ(info.versions[1].documents, 500u);
  EXPECT_EQ(info.auto_info->state, AutoState::kFitted);
  EXPECT_EQ(info.auto_info->fitted_documents, 500u);
  EXPECT_EQ(info.auto_info->next_fit_documents, 5000u);
  EXPECT_GT(info.auto_info->recall, 0.5);
  EXPECT_EQ(info.auto_info->events.size(), 2u);
  EXPECT_GE(Recall(500, true), 0.99);
}

TEST_F(EngineLearnTest, FitsAgainWhenItHasGrownTenfold) {
  Create(FloatStorage::kFloat16);
  Write(0, 500);
  ASSERT_TRUE(WaitUntil([](const CollectionInfo& info) { return info.auto_info->promotions == 1; }));
  Write(500, 5000);
  ASSERT_TRUE(WaitUntil([](const CollectionInfo& info) {
    return info.auto_info->fits >= 2 && info.auto_info->fitted_documents >= 4000 && VersionsInUse(info) == 1;
  }));
  EXPECT_GE(Recall(5000, true), 0.99);
  EXPECT_EQ(Info().versions[Info().versions.size() - 1].documents == 5000u ||
                Info().auto_info->fits > Info().auto_info->promotions,
            true);
}

TEST_F(EngineLearnTest, GoesOnAfterBeingClosedAtAnyMoment) {
  Create(FloatStorage::kFloat16);
  Write(0, 2000);
  for (int i = 0; i < 200 && !(Info().auto_info->promotions > 0 && VersionsInUse(Info()) == 1); ++i) {
    // Longer and longer, so that a fit ends on a busy machine too.
    absl::SleepFor(absl::Milliseconds(1 + 7 * i % 400 + 20 * std::max(0, i - 60)));
    Open();
    ASSERT_EQ(Info().documents, 2000u);
    ASSERT_GE(Recall(2000, true), 0.98);
  }
  EXPECT_EQ(Info().auto_info->promotions, 1u);
  EXPECT_EQ(Info().versions.back().documents, 2000u);
}

TEST_F(EngineLearnTest, WithoutFloatsTheFirstFitIsFinal) {
  Create(FloatStorage::kNone);
  EXPECT_EQ(Info().store_floats, FloatStorage::kNone);
  Write(0, 400);
  SearchRequest request{.collection = "c", .queries = {absl::MakeConstSpan(rows_.row(0), kDims)}, .rerank = 50};
  EXPECT_THAT(std::string(SearchAndWait(*engine_, std::move(request)).status().message()),
              HasSubstr("stores no floats"))
      << "what works now must work later";
  const double before = Recall(400, true);
  Write(400, 600);
  ASSERT_TRUE(WaitUntil([](const CollectionInfo& info) { return info.auto_info->state == AutoState::kFinal; }));
  EXPECT_GT(Recall(600, true), before);
  Write(600, 900);
  Open();
  Write(900, 1000);
  const CollectionInfo info = Info();
  EXPECT_EQ(info.auto_info->state, AutoState::kFinal);
  EXPECT_THAT(info.auto_info->events.back().text, HasSubstr("final"));
  EXPECT_EQ(info.auto_info->next_fit_documents, 0u);
  EXPECT_EQ(info.documents, 1000u);
  EXPECT_EQ(info.versions[1].documents, 1000u);
  EXPECT_EQ(info.versions[1].embeddings, 0u);
  const auto document = engine_->Get("c", std::vector<std::string>{"0", "700"}, true);
  ASSERT_TRUE(document.ok()) << document.status();
  for (const Document& found : *document) EXPECT_TRUE(found.embeddings.empty());
  EXPECT_GT(Recall(1000, true), before);
}

TEST_F(EngineLearnTest, LeavesAloneWhatSomebodyElseHasPromoted) {
  Open(absl::Seconds(1));  // the old version lives three seconds
  Create(FloatStorage::kFloat16);
  Write(0, 500);
  ASSERT_TRUE(WaitUntil([](const CollectionInfo& info) { return info.auto_info->promotions == 1; }));
  ASSERT_TRUE(engine_->PromoteVersion("c", "auto-0", "", false).ok());
  absl::SleepFor(absl::Seconds(4));
  EXPECT_EQ(Info().default_version, "auto-0");
  EXPECT_EQ(VersionsInUse(Info()), 2u);
  EXPECT_GE(Recall(500, true), 0.99);
}

TEST_F(EngineLearnTest, IsDroppedWhileItLearns) {
  for (int i = 0; i < 5; ++i) {
    Create(FloatStorage::kFloat16);
    Write(0, 600);
    absl::SleepFor(absl::Milliseconds(60 * i));
    ASSERT_TRUE(engine_->DeleteCollection("c").ok());
  }
}

// A comparison that takes as many seconds as there are documents ends with its collection, and with the engine.
TEST_F(EngineLearnTest, NobodyWaitsForAComparison) {
  Open(absl::Milliseconds(100), /*compared_per_s=*/1);
  for (const bool dropped : {true, false}) {
    Create(FloatStorage::kFloat16);
    Write(0, 600);
    ASSERT_TRUE(WaitUntil([](const CollectionInfo& info) { return info.auto_info->state == AutoState::kChecking; }));
    absl::SleepFor(absl::Milliseconds(300));  // it has begun, most likely
    if (dropped) {
      ASSERT_TRUE(engine_->DeleteCollection("c").ok());
    }
  }
  engine_.reset();
}

}  // namespace
}  // namespace bebr::testing
