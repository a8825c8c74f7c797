// A request is atomic over the shards of its collection: searches, Get and snapshots see all of it or nothing, and so
// does whoever opens the collection after a write that failed.
//
// This program has its own fdatasync, which RocksDB calls: syncs fail when the test says so.
#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace {
std::atomic<int> failing_syncs{0};
}  // namespace

extern "C" int fdatasync(int fd) {
  if (failing_syncs.load() > 0 && failing_syncs.fetch_sub(1) > 0) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace bebr::testing {
namespace {

constexpr size_t kDims = 8;
constexpr size_t kDocuments = 40;

class EngineAtomicityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Open();
    const std::string model = RandomModelFile(kDims, *ParseCodeSpec("64x1"), 1, 1);
    ASSERT_TRUE(
        engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat16, .shards = 4}, model).ok());
  }
  void TearDown() override { failing_syncs = 0; }

  void Open() {
    engine_.reset();
    auto engine = Engine::Open({.data_dir = directory_.path(), .threads = 2});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  // Writes all documents, with the number of their generation.
  absl::Status Write(int64_t generation) {
    UpsertRequest request{.collection = "c"};
    for (size_t i = 0; i < kDocuments; ++i) {
      request.documents.push_back(
          {.id = ids_[i],
           .attributes = {{"generation", generation}},
           .embeddings = {{.values = vectors_[(i + static_cast<size_t>(generation)) % kDocuments]}}});
    }
    return UpsertAndWait(*engine_, std::move(request)).status();
  }

  // The generations that are there: one, or an empty set where there are no documents at all.
  static std::set<int64_t> Generations(const std::vector<Document>& documents) {
    std::set<int64_t> generations;
    for (const Document& document : documents)
      generations.insert(std::get<int64_t>(document.attributes.at("generation")));
    EXPECT_TRUE(documents.empty() || documents.size() == kDocuments) << documents.size();
    return generations;
  }
  std::set<int64_t> Got(const std::string& collection) {
    const auto documents = engine_->Get(collection, ids_, true);
    EXPECT_TRUE(documents.ok()) << documents.status();
    return Generations(*documents);
  }
  std::set<int64_t> Searched() {
    const auto result = SearchAndWait(
        *engine_, {.collection = "c", .queries = {vectors_[0]}, .k = 100, .rerank = 100, .with_attributes = true});
    EXPECT_TRUE(result.ok()) << result.status();
    std::vector<Document> documents;
    for (const SearchHit& hit : result->hits[0]) documents.push_back({.id = hit.id, .attributes = hit.attributes});
    return Generations(documents);
  }

  TemporaryDirectory directory_;
  const std::vector<std::vector<float>> vectors_ = RandomVectors(kDocuments, kDims, 2);
  const std::vector<std::string> ids_ = [] {
    std::vector<std::string> ids;
    for (size_t i = 0; i < kDocuments; ++i) ids.push_back(absl::StrCat("d", i));
    return ids;
  }();
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineAtomicityTest, ReadersSeeOneRequestOrTheNext) {
  ASSERT_TRUE(Write(0).ok());
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int64_t generation = 1; !stop; ++generation) ASSERT_TRUE(Write(generation).ok());
  });
  std::set<int64_t> seen;
  for (int i = 0; i < 300 || seen.size() < 10; ++i) {
    const std::set<int64_t> searched = Searched(), got = Got("c");
    EXPECT_EQ(searched.size(), 1u);
    EXPECT_EQ(got.size(), 1u);
    seen.insert(got.begin(), got.end());
  }
  for (int i = 0; i < 5; ++i) {
    const auto snapshot = engine_->CreateSnapshot("c", absl::StrCat("s", i));
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    EXPECT_EQ(snapshot->documents, kDocuments);
  }
  stop = true;
  writer.join();
  for (int i = 0; i < 5; ++i) {
    const std::string name = absl::StrCat("r", i);
    ASSERT_TRUE(engine_->RestoreSnapshot("c", absl::StrCat("s", i), name).ok());
    EXPECT_EQ(Got(name).size(), 1u);
  }
}

TEST_F(EngineAtomicityTest, AWriteThatStorageRefusesHasNoEffectOnAnyShard) {
  failing_syncs = 1;
  EXPECT_FALSE(Write(1).ok());
  EXPECT_THAT(Got("c"), ::testing::IsEmpty());
  EXPECT_THAT(Searched(), ::testing::IsEmpty());
  EXPECT_EQ(engine_->GetCollection("c")->documents, 0u);
  Open();  // it was written, if not synced, so it may be there: then all of it
  const std::set<int64_t> got = Got("c");
  EXPECT_EQ(Searched(), got);
  ASSERT_TRUE(Write(2).ok());
  EXPECT_THAT(Got("c"), ::testing::ElementsAre(2));
  Open();
  EXPECT_THAT(Got("c"), ::testing::ElementsAre(2));
}

}  // namespace
}  // namespace bebr::testing
