// Kept views: pages of what a collection was at one moment, while it changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/base/clock.h"
#include "index/collection/kept_views.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kLong = absl::Seconds(600);

class EngineViewsTest : public ::testing::Test {
 protected:
  static constexpr size_t kDocuments = 900;

  void SetUp() override {
    Open();
    for (const char* name : {"c", "other"}) {
      ASSERT_TRUE(
          engine_->CreateCollection({.name = name, .store_floats = FloatStorage::kFloat32, .shards = 3}, model_).ok());
    }
    Write(0, kDocuments, 0);
  }
  void Open() {
    engine_.reset();
    engine_ = *Engine::Open({.data_dir = directory_.path(), .threads = 2, .max_kept_views = 6});
  }
  // Documents of a generation: the next one has other vectors and attributes.
  void Write(size_t begin, size_t end, int64_t generation) {
    UpsertRequest request{.collection = "c"};
    for (size_t i = begin; i < end; ++i) {
      request.documents.push_back({.id = absl::StrCat("d", i),
                                   .attributes = {{"generation", generation}, {"tens", static_cast<int64_t>(i / 10)}},
                                   .embeddings = {{.values = rows_[(i * 7 + generation * 13) % rows_.size()]}}});
    }
    const auto result = UpsertAndWait(*engine_, std::move(request));
    ASSERT_TRUE(result.ok()) << result.status();
  }
  SearchRequest Ask(size_t k, size_t offset, const std::string& token) {
    SearchRequest request{.collection = "c", .queries = {rows_[0]}, .k = k, .offset = offset};
    request.with_attributes = true;
    request.view_token = token;
    return request;
  }
  absl::StatusOr<SearchResult> Keep(absl::Duration how_long = kLong) {
    SearchRequest request = Ask(5, 0, "");
    request.keep_view = how_long;
    return SearchAndWait(*engine_, request);
  }
  static std::vector<std::tuple<std::string, float, Attributes>> Plain(const std::vector<SearchHit>& hits) {
    std::vector<std::tuple<std::string, float, Attributes>> plain;
    for (const SearchHit& hit : hits) plain.emplace_back(hit.id, hit.score, hit.attributes);
    return plain;
  }

  const std::string model_ = RandomModelFile(8, *ParseCodeSpec("24x2"), 4, 1);
  const std::string other_model_ = RandomModelFile(8, *ParseCodeSpec("40x2"), 4, 2);
  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  const std::vector<std::vector<float>> rows_ = RandomVectors(1000, 8, 2);
};

TEST_F(EngineViewsTest, PagesAreThoseOfOneMomentWhateverIsWritten) {
  for (const size_t rerank : {0, 800}) {
    SearchRequest first = Ask(800, 0, "");
    first.rerank = rerank;
    const auto whole = SearchAndWait(*engine_, first);
    ASSERT_TRUE(whole.ok()) << whole.status();
    const auto kept = Keep();
    ASSERT_TRUE(kept.ok()) << kept.status();
    ASSERT_FALSE(kept->view_token.empty());
    std::atomic<bool> stop{false};
    // Replaces everything again and again, so that segments are rewritten, and deletes some.
    std::thread writer([&] {
      std::mt19937 random(1);
      for (int64_t generation = 1; !stop || generation < 12; ++generation) {
        Write(0, kDocuments, generation);
        std::vector<std::string> ids;
        for (int i = 0; i < 100; ++i) ids.push_back(absl::StrCat("d", random() % kDocuments));
        ASSERT_TRUE(DeleteAndWait(*engine_, "c", ids).ok());
      }
    });
    for (int round = 0; round < 3; ++round) {
      std::vector<std::tuple<std::string, float, Attributes>> pages;
      for (size_t offset = 0; offset < 800; offset += 50) {
        SearchRequest request = Ask(50, offset, kept->view_token);
        request.rerank = rerank;
        const auto page = SearchAndWait(*engine_, request);
        ASSERT_TRUE(page.ok()) << page.status();
        EXPECT_EQ(page->view_token, "");  // asked for nothing more
        for (auto& hit : Plain(page->hits[0])) pages.push_back(std::move(hit));
      }
      EXPECT_EQ(pages, Plain(whole->hits[0]));
    }
    stop = true;
    writer.join();
    EXPECT_NE(Plain(SearchAndWait(*engine_, first)->hits[0]), Plain(whole->hits[0]));
    Write(0, kDocuments, 0);
  }
}

TEST_F(EngineViewsTest, GroupsFusionAndExamplesSeeItToo) {
  SearchRequest grouped = Ask(20, 0, "");
  grouped.group_by = "tens";
  grouped.group_size = 3;
  SearchRequest fused = Ask(20, 0, "");
  fused.queries.push_back(rows_[1]);
  fused.fusion = Fusion::kReciprocalRank;
  fused.lists = {{{"d5", "d899", "d6"}, {}}};
  SearchRequest like = Ask(20, 0, "");
  like.queries.clear();
  like.like = ExampleRequest{.collection = "c", .positive_ids = {"d7", "d9"}};
  std::vector<SearchRequest> requests = {grouped, fused, like};
  std::vector<std::vector<SearchHit>> before;
  for (const SearchRequest& request : requests) before.push_back(SearchAndWait(*engine_, request)->hits.at(0));
  const auto kept = Keep();
  ASSERT_TRUE(kept.ok()) << kept.status();
  Write(0, kDocuments - 100, 1);
  ASSERT_TRUE(DeleteAndWait(*engine_, "c", {"d7", "d5", "d899"}).ok());
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].view_token = kept->view_token;
    const auto result = SearchAndWait(*engine_, requests[i]);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(Plain(result->hits[0]), Plain(before[i])) << i;
  }
}

TEST_F(EngineViewsTest, ScrollShowsTheCollectionAsItWasForTheFirstPage) {
  PageRequest request{.collection = "c", .limit = 70, .with_attributes = true, .with_embeddings = true};
  request.keep_view = kLong;
  std::set<std::string> ids;
  for (int64_t generation = 1;; ++generation) {
    const auto page = engine_->Scroll(request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const PageDocument& entry : page->documents) {
      EXPECT_TRUE(ids.insert(entry.document.id).second);
      EXPECT_EQ(entry.document.attributes.at("generation"), AttributeValue(int64_t{0}));
      const size_t i = std::stoul(entry.document.id.substr(1));
      ASSERT_THAT(entry.document.embeddings, SizeIs(1));
      EXPECT_EQ(entry.document.embeddings[0].values, rows_[i * 7 % rows_.size()]);
    }
    if (page->next.empty()) break;
    EXPECT_FALSE(page->view_token.empty());
    request.view_token = page->view_token;
    request.after = page->next;
    Write(kDocuments / 2, kDocuments + 50, generation);
    ASSERT_TRUE(
        DeleteAndWait(*engine_, "c", {absl::StrCat("d", generation), absl::StrCat("d", 899 - generation)}).ok());
  }
  EXPECT_EQ(ids.size(), kDocuments);
}

TEST_F(EngineViewsTest, ATokenIsOfItsCollectionUntilItsEnd) {
  const auto kept = Keep();
  ASSERT_TRUE(kept.ok()) << kept.status();
  const auto with = [&](const std::string& collection, const std::string& token) {
    SearchRequest request = Ask(5, 0, token);
    request.collection = collection;
    return SearchAndWait(*engine_, request).status();
  };
  EXPECT_TRUE(with("c", kept->view_token).ok());
  ASSERT_TRUE(engine_->SetAlias("alias", "c", std::nullopt).ok());
  EXPECT_TRUE(with("alias", kept->view_token).ok());
  for (const auto& [collection, token] : {std::pair<std::string, std::string>("other", kept->view_token),
                                          {"c", "guessed"},
                                          {"c", kept->view_token + "0"}}) {
    const absl::Status refused = with(collection, token);
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("view_token"));
  }
  ASSERT_TRUE(engine_->DeleteAlias("alias").ok());
  ASSERT_TRUE(engine_->DeleteCollection("c").ok());
  EXPECT_EQ(engine_->Stats().kept_views, 0u);
  ASSERT_TRUE(engine_->CreateCollection({.name = "c", .shards = 3}, model_).ok());
  EXPECT_EQ(with("c", kept->view_token).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(EngineViewsTest, ARestartEndsThem) {
  const auto kept = Keep();
  ASSERT_TRUE(kept.ok()) << kept.status();
  Open();
  EXPECT_EQ(SearchAndWait(*engine_, Ask(5, 0, kept->view_token)).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(EngineViewsTest, VersionsThatComeAndGo) {
  const auto kept = Keep();
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_TRUE(engine_->AddVersion("c", {.name = "v2", .same_embeddings_as = "v1"}, other_model_).ok());
  SearchRequest request = Ask(5, 0, kept->view_token);
  request.version = "v2";
  const absl::Status newer = SearchAndWait(*engine_, request).status();
  EXPECT_EQ(newer.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(newer.message()), HasSubstr("is newer than the view"));
  request.version = "v3";
  EXPECT_EQ(SearchAndWait(*engine_, request).status().code(), absl::StatusCode::kNotFound);
  request.version.clear();
  request.queries.clear();
  request.like = ExampleRequest{.collection = "c", .version = "v2", .positive_ids = {"d7"}};
  EXPECT_EQ(SearchAndWait(*engine_, request).status().code(), absl::StatusCode::kFailedPrecondition);
  // The default is what it was for the view.
  ASSERT_TRUE(engine_->PromoteVersion("c", "v2", "", /*force=*/true).ok());
  const auto old = SearchAndWait(*engine_, Ask(5, 0, kept->view_token));
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(Plain(old->hits[0]), Plain(kept->hits[0]));
  ASSERT_TRUE(engine_->StartBackfill("c", "v2", 0).ok());
  const auto coded = [&] { return engine_->GetCollection("c")->versions.at(1).documents; };
  const SteadyTime until = SteadyNow() + absl::Seconds(60);
  while (coded() < kDocuments && SteadyNow() < until) absl::SleepFor(absl::Milliseconds(10));
  ASSERT_EQ(coded(), kDocuments);
  ASSERT_TRUE(SearchAndWait(*engine_, Ask(5, 0, kept->view_token)).ok());
  const absl::Status retired = engine_->RetireVersion("c", "v1");
  ASSERT_TRUE(retired.ok()) << retired;
  EXPECT_EQ(engine_->Stats().kept_views, 0u);
  EXPECT_EQ(SearchAndWait(*engine_, Ask(5, 0, kept->view_token)).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(EngineViewsTest, MemoryThatOnlyTheyHoldCounts) {
  ASSERT_TRUE(engine_->CreateCollection({.name = "one", .shards = 1}, model_).ok());
  const auto write = [&] {
    UpsertRequest request{.collection = "one"};
    for (size_t i = 0; i < 4000; ++i)
      request.documents.push_back({.id = absl::StrCat("d", i), .embeddings = {{.values = rows_[i % rows_.size()]}}});
    ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
  };
  write();
  SearchRequest search = Ask(5, 0, "");
  search.collection = "one";
  search.keep_view = kLong;
  const auto kept = SearchAndWait(*engine_, search);
  ASSERT_TRUE(kept.ok()) << kept.status();
  for (int i = 0; i < 10; ++i) write();  // so that the segment is written anew
  EngineOptions options{.memory_limit_bytes = 1};
  for (const std::string& name : engine_->ListCollections()) {
    const MemoryUse use = engine_->GetCollection(name)->memory;
    options.memory_limit_bytes += use.total - use.models;
  }
  engine_->SetLimits(options);
  // A change of no document asks for room and takes none. What views hold is measured once a second.
  const auto await = [&](bool ok) {
    absl::Status status;
    for (const SteadyTime until = SteadyNow() + absl::Seconds(60); SteadyNow() < until;) {
      AttributeUpdate update{.collection = "one", .ids = {"none"}};
      update.change.set["a"] = int64_t{1};
      const auto outcome = std::make_shared<std::promise<absl::Status>>();
      engine_->UpdateAttributes(update, [outcome](auto result) { outcome->set_value(result.status()); });
      status = outcome->get_future().get();
      if (status.ok() == ok) break;
      absl::SleepFor(absl::Milliseconds(20));
    }
    return status;
  };
  EXPECT_THAT(std::string(await(false).message()), HasSubstr("kept views"));
  search.keep_view = absl::Seconds(1);
  search.view_token = kept->view_token;
  ASSERT_TRUE(SearchAndWait(*engine_, search).ok());
  EXPECT_TRUE(await(true).ok());
}

TEST_F(EngineViewsTest, CannotBeKeptForEver) {
  KeptViews views(/*longest=*/absl::Milliseconds(50));
  const auto token = views.Keep({}, "", kLong);
  ASSERT_TRUE(token.ok()) << token.status();
  const SteadyTime until = SteadyNow() + absl::Seconds(60);
  while (views.Find(*token, nullptr, kLong).ok() && SteadyNow() < until) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_EQ(views.Find(*token, nullptr, kLong).status().code(), absl::StatusCode::kFailedPrecondition);
}

// An owner may have half of what others leave of the six; a collection has half of them.
TEST_F(EngineViewsTest, OneOwnerLeavesRoomToTheNext) {
  const auto keep = [&](const std::string& collection, const std::string& owner) {
    SearchRequest request = Ask(5, 0, "");
    request.collection = collection;
    request.keep_view = kLong;
    request.view_owner = owner;
    return SearchAndWait(*engine_, request);
  };
  for (const char* collection : {"c", "c", "other"}) ASSERT_TRUE(keep(collection, "key \"a\"").ok());
  const absl::Status full = keep("other", "key \"a\"").status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()),
              HasSubstr("3 views of key \"a\" are kept, as many as may be of one key or host: half of what others "
                        "leave of 6 (max_kept_views)"));
  PageRequest page{.collection = "other", .keep_view = kLong, .view_owner = "key \"a\""};
  EXPECT_EQ(engine_->Scroll(page).status().code(), absl::StatusCode::kResourceExhausted);
  page.view_owner = "host b";
  ASSERT_TRUE(engine_->Scroll(page).ok());
  const auto second = keep("c", "host b");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(keep("other", "host b").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(keep("other", "host c").ok());
  // Whoever has the token may keep it longer: it stays its owner's.
  SearchRequest again = Ask(5, 0, second->view_token);
  again.keep_view = absl::Seconds(1);
  again.view_owner = "key \"a\"";
  EXPECT_TRUE(SearchAndWait(*engine_, again).ok());
}

TEST_F(EngineViewsTest, AreBoundedInNumberAndTime) {
  std::set<std::string> tokens;
  for (int i = 0; i < 3; ++i) tokens.insert(Keep()->view_token);
  EXPECT_EQ(tokens.size(), 3u);
  const absl::Status full = Keep().status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("3 views of the collection are kept, as many as may be of one"));
  // Another one has its own share.
  SearchRequest other = Ask(5, 0, "");
  other.collection = "other";
  other.keep_view = kLong;
  for (const char* owner : {"a", "b", "c"}) {
    other.view_owner = owner;
    EXPECT_TRUE(SearchAndWait(*engine_, other).ok());
  }
  EXPECT_THAT(std::string(SearchAndWait(*engine_, other).status().message()), HasSubstr("6 views are kept"));
  EXPECT_EQ(Keep(kLong + absl::Seconds(1)).status().code(), absl::StatusCode::kInvalidArgument);
  // A search that fails keeps nothing.
  Open();
  SearchRequest wrong = Ask(0, 0, "");
  wrong.keep_view = kLong;
  EXPECT_EQ(SearchAndWait(*engine_, wrong).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine_->Stats().kept_views, 0u);
  // Those whose time is over go by themselves; a call that names a time says how much there is from then on.
  const auto brief = Keep(absl::Seconds(1)), shortened = Keep(), lasting = Keep();
  ASSERT_TRUE(brief.ok() && shortened.ok() && lasting.ok());
  SearchRequest again = Ask(5, 0, shortened->view_token);
  again.keep_view = absl::Seconds(1);
  EXPECT_EQ(SearchAndWait(*engine_, again)->view_token, shortened->view_token);
  const SteadyTime until = SteadyNow() + absl::Seconds(60);
  while (engine_->Stats().kept_views > 1 && SteadyNow() < until) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(engine_->Stats().kept_views, 1u);
  for (const std::string& token : {brief->view_token, shortened->view_token})
    EXPECT_EQ(SearchAndWait(*engine_, Ask(5, 0, token)).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(SearchAndWait(*engine_, Ask(5, 0, lasting->view_token)).ok());
}

}  // namespace
}  // namespace bebr::testing
