// Several embedding versions in one collection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/engine_calls.h"
#include "tests/support/reference_search.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

class EngineVersionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Open();
    ASSERT_TRUE(
        engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2}, old_model_).ok());
  }
  void Open() {
    engine_.reset();
    engine_ = *Engine::Open({.data_dir = directory_.path(), .threads = 2});
  }
  void Write(size_t begin, size_t end, const std::vector<std::string>& versions) {
    UpsertRequest request{.collection = "c"};
    for (size_t i = begin; i < end; ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat("d", i);
      for (const std::string& version : versions) {
        document.embeddings.push_back(
            {.version = version, .values = version == "v1" ? old_vectors_[i] : new_vectors_[i]});
      }
    }
    const auto result = UpsertAndWait(*engine_, std::move(request));
    ASSERT_TRUE(result.ok()) << result.status();
  }
  std::vector<ReferenceCollection::Hit> Search(const std::string& version, const std::vector<float>& query,
                                               size_t k = 20) {
    const auto result = SearchAndWait(*engine_, {.collection = "c", .version = version, .queries = {query}, .k = k});
    EXPECT_TRUE(result.ok()) << result.status();
    std::vector<ReferenceCollection::Hit> hits;
    if (result.ok()) {
      for (const SearchHit& hit : result->hits[0]) hits.push_back({hit.id, hit.score});
    }
    return hits;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  const std::string old_model_ = RandomModelFile(6, *ParseCodeSpec("24x2"), 4, 1);
  const std::string new_model_ = RandomModelFile(9, *ParseCodeSpec("40x2"), 4, 2);
  const std::string compatible_model_ = RandomModelFile(9, *ParseCodeSpec("24x2"), 4, 3);
  const std::vector<std::vector<float>> old_vectors_ = RandomVectors(200, 6, 4);
  const std::vector<std::vector<float>> new_vectors_ = RandomVectors(200, 9, 5);
};

TEST_F(EngineVersionTest, NewSpaceFromAddingToRetiring) {
  Write(0, 200, {"v1"});
  ASSERT_TRUE(engine_->AddVersion("c", {.name = "v2"}, new_model_).ok());
  EXPECT_EQ(engine_->AddVersion("c", {.name = "v2"}, new_model_).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(engine_->PromoteVersion("c", "v2", "v1", false).code(),
            absl::StatusCode::kFailedPrecondition);  // no document has a code
  const auto old_answer = Search("v1", old_vectors_[7]);
  Write(0, 100, {"v1", "v2"});
  EXPECT_EQ(engine_->PromoteVersion("c", "v2", "v1", false).code(),
            absl::StatusCode::kFailedPrecondition);  // half of them have none
  Open();
  EXPECT_EQ(Search("v1", old_vectors_[7]), old_answer);
  ReferenceCollection reference(new_model_);
  for (size_t i = 0; i < 100; ++i) reference.Upsert(absl::StrCat("d", i), new_vectors_[i], {});
  EXPECT_EQ(Search("v2", new_vectors_[150]), reference.Search(new_vectors_[150], 20));
  EXPECT_EQ(engine_->PromoteVersion("c", "v2", "v3", false).code(),
            absl::StatusCode::kFailedPrecondition);  // not what is the default
  ASSERT_TRUE(engine_->PromoteVersion("c", "v2", "v1", true).ok());
  EXPECT_EQ(Search("", new_vectors_[150]), reference.Search(new_vectors_[150], 20));
  EXPECT_EQ(engine_->RetireVersion("c", "v2").code(), absl::StatusCode::kFailedPrecondition);  // the default
  EXPECT_EQ(engine_->RetireVersion("c", "v1").code(), absl::StatusCode::kFailedPrecondition);  // half would be lost
  Write(100, 200, {"v1", "v2"});
  for (size_t i = 100; i < 200; ++i) reference.Upsert(absl::StrCat("d", i), new_vectors_[i], {});
  const uint64_t before = engine_->GetCollection("c")->memory.codes;
  ASSERT_TRUE(engine_->RetireVersion("c", "v1").ok());
  EXPECT_LT(engine_->GetCollection("c")->memory.codes, before);
  Open();
  EXPECT_EQ(Search("", new_vectors_[150]), reference.Search(new_vectors_[150], 20));
  EXPECT_EQ(SearchAndWait(*engine_, {.collection = "c", .version = "v1", .queries = {old_vectors_[0]}}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(engine_->GetCollection("c")->versions[0].state, VersionState::kRetired);
}

TEST_F(EngineVersionTest, CompatibleVersionsShareASpace) {
  EXPECT_EQ(engine_->AddVersion("c", {.name = "v2", .compatible_with = "v1"}, new_model_).code(),
            absl::StatusCode::kInvalidArgument);  // another shape
  ASSERT_TRUE(engine_->AddVersion("c", {.name = "v2", .compatible_with = "v1"}, compatible_model_).ok());
  Write(0, 150, {"v1"});
  Write(150, 200, {"v2"});
  const auto hits = Search("v2", new_vectors_[3], 200);
  EXPECT_EQ(hits.size(), 200u);  // whichever version wrote the code
  const auto info = engine_->GetCollection("c");
  ASSERT_EQ(info->versions.size(), 2u);
  EXPECT_EQ(info->versions[0].documents, 150u);
  EXPECT_EQ(info->versions[1].documents, 50u);
  const auto result = SearchAndWait(
      *engine_, {.collection = "c", .version = "v2", .queries = {new_vectors_[3]}, .k = 200, .rerank = 200});
  ASSERT_TRUE(result.ok());
  for (const SearchHit& hit : result->hits[0]) {
    const bool is_new = std::stoi(hit.id.substr(1)) >= 150;
    EXPECT_EQ(hit.version, is_new ? "v2" : "v1");
    // Only documents with floats of the query's version can be scored exactly.
    EXPECT_EQ(hit.score_kind, is_new ? ScoreKind::kExact : ScoreKind::kEstimated);
  }
  ASSERT_TRUE(engine_->PromoteVersion("c", "v2", "v1", false).ok());
  ASSERT_TRUE(engine_->RetireVersion("c", "v1").ok());  // its codes stay: the space is still in use
  EXPECT_EQ(Search("", new_vectors_[3], 200), hits);
  Open();
  EXPECT_EQ(Search("", new_vectors_[3], 200), hits);
}

// The space of a collection in groups takes versions that translate into these groups, and no others.
TEST_F(EngineVersionTest, CompatibleVersionsShareGroups) {
  const CodeSpec grouped = WithGroups(*ParseCodeSpec("24x2"), 3);
  const std::string first = RandomModelFile(6, grouped, 6, 1), second = TranslatedModelFile(first, 9, 2);
  const CollectionConfig config = {.name = "g", .store_floats = FloatStorage::kFloat32, .shards = 2};
  ASSERT_TRUE(engine_->CreateCollection(config, first).ok());
  for (const std::string& other :
       {RandomModelFile(9, grouped, 6, 3), new_model_, TranslatedModelFile(RandomModelFile(6, grouped, 6, 4), 9, 2),
        RandomModelFile(9, WithGroups(*ParseCodeSpec("24x2"), 4), 6, 3)}) {
    const absl::Status refused = engine_->AddVersion("g", {.name = "v2", .compatible_with = "v1"}, other);
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("not compatible"));
  }
  ASSERT_TRUE(engine_->AddVersion("g", {.name = "v2", .compatible_with = "v1"}, second).ok());
  ReferenceCollection by_first(first), by_second(second);
  UpsertRequest request{.collection = "g"};
  for (size_t i = 0; i < 200; ++i) {
    DocumentInput& document = request.documents.emplace_back();
    document.id = absl::StrCat("d", i);
    const bool is_new = i % 3 == 0;
    const std::vector<float>& values = is_new ? new_vectors_[i] : old_vectors_[i];
    document.embeddings.push_back({.version = is_new ? "v2" : "v1", .values = values});
    for (ReferenceCollection* reference : {&by_first, &by_second})
      reference->UpsertBy(is_new ? by_second : by_first, document.id, values);
  }
  ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
  const auto search = [&](const std::string& version, const std::vector<float>& query) {
    const auto result = SearchAndWait(*engine_, {.collection = "g", .version = version, .queries = {query}, .k = 200});
    EXPECT_TRUE(result.ok()) << result.status();
    std::vector<ReferenceCollection::Hit> hits;
    for (size_t i = 0; result.ok() && i < result->hits[0].size(); ++i)
      hits.push_back({result->hits[0][i].id, result->hits[0][i].score});
    return hits;
  };
  for (const bool reopened : {false, true}) {
    if (reopened) Open();
    EXPECT_EQ(search("v1", old_vectors_[3]), by_first.Search(old_vectors_[3], 200));
    EXPECT_EQ(search("v2", new_vectors_[3]), by_second.Search(new_vectors_[3], 200));
  }
  ASSERT_TRUE(engine_->PromoteVersion("g", "v2", "v1", false).ok());
  ASSERT_TRUE(engine_->RetireVersion("g", "v1").ok());
  // What is left knows the groups: a third version joins by it.
  EXPECT_EQ(engine_->AddVersion("g", {.name = "v3", .compatible_with = "v2"}, RandomModelFile(6, grouped, 6, 3)).code(),
            absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(engine_->AddVersion("g", {.name = "v3", .compatible_with = "v2"}, TranslatedModelFile(first, 5, 7)).ok());
  Open();
  EXPECT_EQ(search("", new_vectors_[3]), by_second.Search(new_vectors_[3], 200));
}

}  // namespace
}  // namespace bebr::testing
