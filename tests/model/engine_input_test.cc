// What the engine refuses: each with the right code and a message that names the thing, and nothing changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class EngineInputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    engine_ = *Engine::Open({.data_dir = directory_.path(), .threads = 2});
    model_ = RandomModelFile(4, *ParseCodeSpec("16x2"), 4, 1);
    ASSERT_TRUE(engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat16}, model_).ok());
    ASSERT_TRUE(Upsert("kept", {1, 2, 3, 4}).ok());
  }
  void TearDown() override {
    // Whatever was refused, the collection still holds its one document.
    const auto info = engine_->GetCollection("c");
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(info->documents, 1u);
    const auto result = SearchAndWait(*engine_, {.collection = "c", .queries = {query_}});
    ASSERT_TRUE(result.ok());
    ASSERT_EQ(result->hits[0].size(), 1u);
    EXPECT_EQ(result->hits[0][0].id, "kept");
  }
  absl::Status Upsert(std::string id, std::vector<float> values, std::string collection = "c",
                      Attributes attributes = {}) {
    UpsertRequest request{.collection = std::move(collection)};
    DocumentInput& document = request.documents.emplace_back();
    document.id = std::move(id);
    document.attributes = std::move(attributes);
    document.embeddings.push_back({.values = values});
    return UpsertAndWait(*engine_, std::move(request)).status();
  }
  void Expect(const absl::Status& status, absl::StatusCode code, const std::vector<std::string>& parts) {
    EXPECT_EQ(status.code(), code) << status;
    for (const std::string& part : parts) EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
  absl::Status Search(SearchRequest request) {
    request.collection = request.collection.empty() ? "c" : request.collection;
    if (request.queries.empty()) request.queries = {query_};
    return SearchAndWait(*engine_, std::move(request)).status();
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::string model_;
  std::vector<float> query_ = {1, 0, 0, 0};
};

TEST_F(EngineInputTest, Documents) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  Expect(Upsert("x", {1, 2, 3}), kInvalid, {"documents[0].embeddings[0]", "3 values", "takes 4"});
  Expect(Upsert("x", {1, 2, 3, NAN}), kInvalid, {"value 3", "NaN"});
  Expect(Upsert("x", {1, 2, INFINITY, 4}), kInvalid, {"value 2"});
  Expect(Upsert("x", {1, 2, 70000, 4}), kInvalid, {"value 2", "70000", "65504"});
  Expect(Upsert("", {1, 2, 3, 4}), kInvalid, {"documents[0].id"});
  Expect(Upsert(std::string(513, 'x'), {1, 2, 3, 4}), kInvalid, {"513", "512"});
  Expect(Upsert("x", {1, 2, 3, 4}, "nowhere"), absl::StatusCode::kNotFound, {"nowhere"});
  Expect(Upsert("x", {1, 2, 3, 4}, "c", {{"a", std::numeric_limits<double>::quiet_NaN()}}), kInvalid,
         {"attributes", "\"a\""});
  Expect(Upsert("x", {1, 2, 3, 4}, "c", {{"a", std::string(1'100'000, 'x')}}), kInvalid, {"1100001", "1048576"});
  Expect(UpsertAndWait(*engine_, {.collection = "c"}).status(), kInvalid, {"documents has 0 entries"});
  UpsertRequest no_embedding{.collection = "c"};
  no_embedding.documents.emplace_back().id = "x";
  Expect(UpsertAndWait(*engine_, std::move(no_embedding)).status(), kInvalid, {"embeddings is empty"});
  UpsertRequest wrong_version{.collection = "c"};
  wrong_version.documents.emplace_back().id = "x";
  wrong_version.documents[0].embeddings.push_back({.version = "v9", .values = query_});
  Expect(UpsertAndWait(*engine_, std::move(wrong_version)).status(), absl::StatusCode::kNotFound, {"v9", "v1"});
  UpsertRequest second_is_wrong{.collection = "c"};
  for (const char* id : {"good", ""}) {
    DocumentInput& document = second_is_wrong.documents.emplace_back();
    document.id = id;
    document.embeddings.push_back({.values = query_});
  }
  Expect(UpsertAndWait(*engine_, std::move(second_is_wrong)).status(), kInvalid, {"documents[1].id"});
  Expect(DeleteAndWait(*engine_, "c", {}).status(), kInvalid, {"ids"});
}

TEST_F(EngineInputTest, Searches) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  Expect(Search({.k = 0}), kInvalid, {"k is 0"});
  Expect(Search({.k = 10001}), kInvalid, {"10001", "10000"});
  Expect(Search({.k = 10, .rerank = 5}), kInvalid, {"rerank is 5"});
  Expect(Search({.rerank = 10001}), kInvalid, {"10001"});
  Expect(Search({.first_levels = 5}), kInvalid, {"first_levels is 5", "4"});
  Expect(Search({.candidates = 100}), kInvalid, {"candidates is 100", "first_levels"});
  Expect(Search({.k = 10, .rerank = 20, .first_levels = 1, .candidates = 19}), kInvalid, {"candidates is 19", "20"});
  Expect(Search({.first_levels = 1, .candidates = 10001}), kInvalid, {"candidates is 10001", "10000"});
  Expect(Search({.probe = 1.5f}), kInvalid, {"probe is 1.5", "at most 1"});
  Expect(Search({.probe = -0.25f}), kInvalid, {"probe is -0.25"});
  Expect(Search({.probe = NAN}), kInvalid, {"probe is nan"});
  Expect(Search({.probe_recall = 1.0f}), kInvalid, {"probe_recall is 1", "less than 1"});
  Expect(Search({.probe_recall = -1.0f}), kInvalid, {"probe_recall is -1"});
  Expect(Search({.probe_recall = NAN}), kInvalid, {"probe_recall is nan"});
  Expect(Search({.probe = 0.5f, .probe_recall = 0.5f}), kInvalid, {"probe is 0.5", "probe_recall 0.5", "one of them"});
  Expect(Search({.probe = 2.0f, .fusion = Fusion::kMax}), kInvalid, {"probe is 2"});
  Expect(Search({.probe = 2.0f, .group_by = "a"}), kInvalid, {"probe is 2"});
  Expect(Search({.collection = "nowhere"}), absl::StatusCode::kNotFound, {"nowhere"});
  Expect(Search({.version = "v9"}), absl::StatusCode::kNotFound, {"v9"});
  const std::vector<float> short_query = {1}, nan_query = {1, NAN, 0, 0};
  Expect(Search({.queries = {short_query}}), kInvalid, {"queries[0]", "1 values", "4"});
  Expect(Search({.queries = {query_, nan_query}}), kInvalid, {"queries[1]"});
  Expect(Search({.min_score = NAN}), kInvalid, {"min_score"});
  Expect(Search({.filter = "a ="}), kInvalid, {});
  Expect(Search({.filter = std::string(9000000, 'x')}), kInvalid, {"9000000", "8388608"});
  Expect(Search({.offset = 9999}), kInvalid, {"offset is 9999", "10000"});
  Expect(Search({.filter = "a = 1", .strict = true}), kInvalid, {"no document has an attribute \"a\""});
  Expect(Search({.deadline = absl::ZeroDuration()}), absl::StatusCode::kDeadlineExceeded, {});
  auto cancelled = std::make_shared<std::atomic<bool>>(true);
  Expect(Search({.cancelled = cancelled}), absl::StatusCode::kCancelled, {});
}

TEST_F(EngineInputTest, Collections) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  Expect(engine_->CreateCollection({.name = "c"}, model_), absl::StatusCode::kAlreadyExists, {"\"c\""});
  Expect(engine_->CreateCollection({.name = ""}, model_), kInvalid, {"name"});
  Expect(engine_->CreateCollection({.name = "../up"}, model_), kInvalid, {"../up"});
  Expect(engine_->CreateCollection({.name = std::string(129, 'x')}, model_), kInvalid, {"129", "128"});
  Expect(engine_->CreateCollection({.name = "d", .shards = 257}, model_), kInvalid, {"257", "256"});
  Expect(engine_->CreateCollection({.name = "d"}, ""), kInvalid, {"model"});
  Expect(engine_->CreateCollection({.name = "d"}, std::string_view(model_).substr(0, model_.size() / 2)), kInvalid,
         {"model"});
  std::string corrupt = model_;
  corrupt[corrupt.size() - 3] ^= 0x10;
  Expect(engine_->CreateCollection({.name = "d"}, corrupt), kInvalid, {"model"});
  Expect(engine_->DeleteCollection("nowhere"), absl::StatusCode::kNotFound, {"nowhere"});
  EXPECT_EQ(engine_->ListCollections(), std::vector<std::string>{"c"});
  ASSERT_TRUE(engine_->CreateCollection({.name = "none"}, model_).ok());
  Expect(Search({.collection = "none", .rerank = 10}), absl::StatusCode::kFailedPrecondition, {"stores no floats"});
  ASSERT_TRUE(engine_->DeleteCollection("none").ok());
  Expect(Engine::Open({.data_dir = directory_.path()}).status(), absl::StatusCode::kFailedPrecondition, {"in use"});
}

TEST_F(EngineInputTest, QueueLimit) {
  auto engine = *Engine::Open({.data_dir = directory_.path() + "/small", .threads = 1, .max_queued_queries = 2});
  ASSERT_TRUE(engine->CreateCollection({.name = "c"}, model_).ok());
  Expect(SearchAndWait(*engine, {.collection = "c", .queries = {query_, query_, query_}}).status(),
         absl::StatusCode::kResourceExhausted, {"3 queries", "at most 2"});
  EXPECT_EQ(engine->Stats().refused_queries, 3u);
}

TEST_F(EngineInputTest, MemoryLimit) {
  // The first write goes in, since nothing is held yet; the second finds the limit reached.
  auto engine = *Engine::Open({.data_dir = directory_.path() + "/small", .threads = 1, .memory_limit_bytes = 1});
  ASSERT_TRUE(engine->CreateCollection({.name = "c"}, model_).ok());
  const auto write = [&](const char* id) {
    UpsertRequest request{.collection = "c"};
    request.documents.emplace_back().id = id;
    request.documents[0].embeddings.push_back({.values = query_});
    return UpsertAndWait(*engine, std::move(request)).status();
  };
  ASSERT_TRUE(write("first").ok());
  Expect(write("second"), absl::StatusCode::kResourceExhausted, {"memory_limit_bytes is 1"});
  EXPECT_EQ(engine->GetCollection("c")->documents, 1u);
  ASSERT_TRUE(DeleteAndWait(*engine, "c", {"first"}).ok());
}

}  // namespace
}  // namespace bebr::testing
