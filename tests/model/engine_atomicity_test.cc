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
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/base/mutex.h"
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
  absl::Status Write(int64_t generation) { return UpsertAndWait(*engine_, Generation(generation)).status(); }
  UpsertRequest Generation(int64_t generation) const {
    UpsertRequest request{.collection = "c"};
    for (size_t i = 0; i < kDocuments; ++i) {
      request.documents.push_back({.id = ids_[i],
                                   .attributes = {{"generation", generation}},
                                   .embeddings = {{.values = VectorOf(i, generation)}}});
    }
    return request;
  }
  const std::vector<float>& VectorOf(size_t i, int64_t generation) const {
    return vectors_[(i + static_cast<size_t>(generation)) % kDocuments];
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

// Keeps so many writes of one document each under way.
class Stream {
 public:
  Stream(Engine* engine, size_t window) : engine_(*engine), window_(window) {}
  ~Stream() { Drain(0); }
  void Send(UpsertRequest request, std::function<void(const absl::Status&)> answered) {
    Drain(window_ - 1);
    {
      MutexLock lock(&mutex_);
      ++waiting_;
    }
    engine_.Upsert(std::move(request), [this, answered = std::move(answered)](const auto& result) {
      answered(result.status());
      MutexLock lock(&mutex_);
      --waiting_;
      changed_.NotifyAll();
    });
  }
  void Drain(size_t most) {
    MutexLock lock(&mutex_);
    while (waiting_ > most) changed_.Wait(&mutex_);
  }

 private:
  Engine& engine_;
  const size_t window_;
  Mutex mutex_;
  CondVar changed_;
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Many requests are under way, so that commits overlap. What is found by its floats has those of its generation.
TEST_F(EngineAtomicityTest, ReadersSeeOneRequestOrTheNextWhileCommitsOverlap) {
  ASSERT_TRUE(Write(0).ok());
  std::atomic<bool> stop{false};
  std::atomic<int64_t> answered{0};
  std::thread writer([&] {
    Stream stream(engine_.get(), 16);
    for (int64_t generation = 1; !stop; ++generation) {
      stream.Send(Generation(generation), [&answered, generation](const absl::Status& status) {
        EXPECT_TRUE(status.ok()) << status;
        EXPECT_EQ(answered.exchange(generation), generation - 1);  // in the order of the calls
      });
    }
  });
  std::set<int64_t> seen;
  for (int i = 0; i < 300 || seen.size() < 10; ++i) {
    const int64_t before = answered;
    const auto result = SearchAndWait(
        *engine_, {.collection = "c", .queries = {vectors_[0]}, .k = 100, .rerank = 100, .with_attributes = true});
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->hits[0].size(), kDocuments);
    const int64_t generation = std::get<int64_t>(result->hits[0][0].attributes.at("generation"));
    EXPECT_GE(generation, before);
    for (const SearchHit& hit : result->hits[0]) {
      EXPECT_EQ(std::get<int64_t>(hit.attributes.at("generation")), generation);
      const size_t document = static_cast<size_t>(std::stoul(hit.id.substr(1)));
      if (&VectorOf(document, generation) == &vectors_[0]) {
        EXPECT_EQ(hit.id, result->hits[0][0].id);
      }
    }
    EXPECT_EQ(Got("c").size(), 1u);
    seen.insert(generation);
  }
  stop = true;
  writer.join();
  const std::set<int64_t> last = {answered};
  EXPECT_EQ(Got("c"), last);
  Open();
  EXPECT_EQ(Got("c"), last);
}

// A sync fails while others wait for it and before it: what was acknowledged is there, and nothing else.
TEST_F(EngineAtomicityTest, WhatIsAcknowledgedAroundAFailedSyncIsThereAndNothingElse) {
  std::map<std::string, bool> written;
  Mutex mutex;
  for (int round = 0; round < 5; ++round) {
    {
      Stream stream(engine_.get(), 64);
      for (int i = 0; i < 400; ++i) {
        if (i == 200) failing_syncs = 1;
        const std::string id = absl::StrCat(round, "-", i);
        UpsertRequest request{.collection = "c"};
        request.documents.push_back({.id = id, .embeddings = {{.values = vectors_[0]}}});
        stream.Send(std::move(request), [&, id](const absl::Status& status) {
          MutexLock lock(&mutex);
          written[id] = status.ok();
        });
      }
    }
    const auto expect = [&] {
      std::vector<std::string> ids;
      for (const auto& [id, ok] : written) ids.push_back(id);
      const auto documents = engine_->Get("c", ids, false);
      ASSERT_TRUE(documents.ok()) << documents.status();
      std::set<std::string> found;
      for (const Document& document : *documents) found.insert(document.id);
      for (const auto& [id, ok] : written) EXPECT_EQ(found.contains(id), ok) << id;
      EXPECT_EQ(engine_->GetCollection("c")->documents, found.size());
    };
    expect();
    EXPECT_EQ(failing_syncs, 0);
    for (int i = 0; i < 600 && !Write(round).ok(); ++i) usleep(100000);  // it recovers by itself
    for (const std::string& id : ids_) written[id] = true;
    expect();
    Open();
    expect();
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
