// Random writes, merges, deletions, backfills, promotions and restarts on a collection of several versions and on an
// obvious model of it: ids, scores, writing versions, attributes, embeddings and counts must agree exactly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/engine_calls.h"
#include "tests/support/reference_search.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// v1; v2, compatible with it; v3 in a space of its own; v4, another binarizer for v1's embeddings.
struct TestVersion {
  const char* name;
  uint32_t dims;
  const char* shape;
  int space;
  int embedding;
};
constexpr TestVersion kVersions[] = {
    {"v1", 6, "24x2", 0, 0}, {"v2", 9, "24x2", 0, 1}, {"v3", 9, "40x2", 1, 2}, {"v4", 6, "17x1", 2, 0}};
constexpr int kVersionCount = 4;

struct TestDocument {
  int64_t n = 0;
  std::map<int, std::vector<float>> embeddings;             // by embedding
  std::map<int, std::pair<int, std::vector<float>>> codes;  // by space: who wrote it, from what
};

// What is stored of floats, and in how many groups the codes of the space are that two versions share.
struct Kind {
  FloatStorage floats;
  uint32_t groups;
};

class EngineUpgradeTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    const uint32_t groups = GetParam().groups;
    for (int v = 0; v < kVersionCount; ++v) {
      const CodeSpec spec = *ParseCodeSpec(kVersions[v].shape);
      const bool grouped = groups > 1 && kVersions[v].space == 0;
      if (grouped && v > 0) {
        models_.push_back(TranslatedModelFile(models_[0], kVersions[v].dims, v + 1));
      } else {
        models_.push_back(
            RandomModelFile(kVersions[v].dims, grouped ? WithGroups(spec, groups) : spec, grouped ? 6 : 4, v + 1));
      }
      vectors_.push_back(RandomVectors(80, kVersions[v].dims, 10 + kVersions[v].embedding));
    }
    Open();
    ASSERT_TRUE(engine_->CreateCollection({.name = "c", .store_floats = floats(), .shards = 2}, models_[0]).ok());
    ASSERT_TRUE(engine_->AddVersion("c", {.name = "v2", .compatible_with = "v1"}, models_[1]).ok());
    ASSERT_TRUE(engine_->AddVersion("c", {.name = "v3"}, models_[2]).ok());
    ASSERT_TRUE(engine_->AddVersion("c", {.name = "v4", .same_embeddings_as = "v1"}, models_[3]).ok());
  }
  FloatStorage floats() const { return GetParam().floats; }
  bool half() const { return floats() == FloatStorage::kFloat16; }
  void Open() {
    engine_.reset();
    auto engine = Engine::Open({.data_dir = directory_.path(), .threads = 2});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  // The versions that encode what comes for `source`.
  std::vector<int> EncodersOf(int source) const {
    std::vector<int> encoders = {source};
    for (int v = kVersionCount - 1; v >= 0; --v) {
      bool taken = kVersions[v].embedding != kVersions[source].embedding || retired_.contains(v);
      for (const int e : encoders) taken = taken || kVersions[e].space == kVersions[v].space;
      if (!taken) encoders.push_back(v);
    }
    return encoders;
  }

  void Write(UpsertMode mode) {
    UpsertRequest request{.collection = collection_, .mode = mode};
    std::set<std::string> unknown;
    const size_t count = 1 + random_() % 60;
    for (size_t i = 0; i < count; ++i) {
      DocumentInput& input = request.documents.emplace_back();
      input.id = absl::StrCat("d", random_() % 400);
      const bool exists = documents_.contains(input.id);
      if (mode != UpsertMode::kMerge) input.attributes["n"] = static_cast<int64_t>(random_() % 5);
      std::map<int, std::pair<int, std::vector<float>>> codes;
      std::map<int, std::vector<float>> embeddings;
      while (input.embeddings.empty()) {
        std::set<int> sent;
        for (int v = 0; v < kVersionCount; ++v) {
          if (random_() % 3 != 0 || retired_.contains(v) || !sent.insert(kVersions[v].embedding).second) continue;
          const auto& vector = vectors_[v][random_() % vectors_[v].size()];
          input.embeddings.push_back({.version = kVersions[v].name, .values = vector});
          embeddings[kVersions[v].embedding] = vector;
          for (const int encoder : EncodersOf(v)) {
            auto& code = codes[kVersions[encoder].space];
            const auto rank = [&](int version) { return std::pair(version == default_, version); };
            if (code.second.empty() || rank(encoder) > rank(code.first)) code = {encoder, vector};
          }
        }
      }
      if (mode == UpsertMode::kMerge && !exists) {
        unknown.insert(input.id);
        continue;
      }
      TestDocument& document = documents_[input.id];
      if (mode == UpsertMode::kReplaceAll) document = {};
      if (mode != UpsertMode::kMerge) document.n = std::get<int64_t>(input.attributes["n"]);
      // A code of an embedding that comes anew is of the old one.
      std::erase_if(document.codes, [&](const auto& code) {
        const int writer = code.second.first;
        return !retired_.contains(writer) && embeddings.contains(kVersions[writer].embedding);
      });
      for (auto& [embedding, vector] : embeddings) document.embeddings[embedding] = vector;
      for (auto& [space, code] : codes) document.codes[space] = code;
    }
    const auto result = UpsertAndWait(*engine_, std::move(request));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(std::set<std::string>(result->unknown_ids.begin(), result->unknown_ids.end()), unknown);
    EXPECT_EQ(result->documents + result->unknown_ids.size(), count);
  }

  void Delete() {
    std::vector<std::string> ids;
    for (int i = 0; i < 20; ++i) ids.push_back(absl::StrCat("d", random_() % 400));
    for (const std::string& id : ids) documents_.erase(id);
    ASSERT_TRUE(DeleteAndWait(*engine_, collection_, ids).ok());
  }

  void Backfill(int v) {
    const TestVersion& version = kVersions[v];
    if (floats() == FloatStorage::kNone) {
      EXPECT_THAT(std::string(engine_->StartBackfill(collection_, version.name, 0).message()),
                  HasSubstr("stores no floats"));
      return;
    }
    if (engine_->GetCollection(collection_)->versions[v].embeddings == 0) return;
    ASSERT_TRUE(engine_->StartBackfill(collection_, version.name, 0).ok());
    for (int i = 0; i < 3000 && engine_->GetCollection(collection_)->versions[v].backfill->running; ++i) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    const auto info = engine_->GetCollection(collection_);
    ASSERT_FALSE(info->versions[v].backfill->running);
    EXPECT_EQ(info->versions[v].backfill->error, "");
    for (auto& [id, document] : documents_) {
      const auto embedding = document.embeddings.find(version.embedding);
      if (embedding != document.embeddings.end()) document.codes[version.space] = {v, embedding->second};
    }
  }

  void CompareSearches(int v) {
    ReferenceCollection reference(models_[v], half());
    std::map<std::string, int> writers;
    for (const auto& [id, document] : documents_) {
      const auto code = document.codes.find(kVersions[v].space);
      if (code == document.codes.end()) continue;
      const ReferenceCollection writer(models_[code->second.first], half());
      reference.UpsertBy(writer, id, code->second.second);
      writers[id] = code->second.first;
    }
    const auto query = vectors_[v][random_() % vectors_[v].size()];
    for (const size_t k : {size_t{7}, size_t{1000}}) {
      const auto result = SearchAndWait(
          *engine_, {.collection = collection_, .version = kVersions[v].name, .queries = {query}, .k = k});
      ASSERT_TRUE(result.ok()) << result.status();
      const auto expected = reference.Search(query, k);
      ASSERT_EQ(result->hits[0].size(), expected.size()) << kVersions[v].name;
      for (size_t i = 0; i < expected.size(); ++i) {
        const SearchHit& hit = result->hits[0][i];
        EXPECT_EQ(hit.id, expected[i].id) << kVersions[v].name << " rank " << i;
        EXPECT_EQ(hit.score, expected[i].score);
        EXPECT_EQ(hit.version, kVersions[writers[hit.id]].name);
      }
    }
  }

  // Reranked hits are exact exactly where the document has floats of the query's version, and the order is total.
  void CompareRerank(int v) {
    if (floats() == FloatStorage::kNone) return;
    const auto query = vectors_[v][random_() % vectors_[v].size()];
    const auto result = SearchAndWait(
        *engine_,
        {.collection = collection_, .version = kVersions[v].name, .queries = {query}, .k = 1000, .rerank = 1000});
    ASSERT_TRUE(result.ok()) << result.status();
    const auto& hits = result->hits[0];
    for (size_t i = 0; i < hits.size(); ++i) {
      const bool has_floats = documents_[hits[i].id].embeddings.contains(kVersions[v].embedding);
      EXPECT_EQ(hits[i].score_kind, has_floats ? ScoreKind::kExact : ScoreKind::kEstimated) << hits[i].id;
      if (i == 0) continue;
      EXPECT_TRUE(hits[i - 1].score > hits[i].score ||
                  (hits[i - 1].score == hits[i].score && hits[i - 1].id < hits[i].id));
    }
  }

  void CompareCounts() {
    const auto info = engine_->GetCollection(collection_);
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(info->documents, documents_.size());
    for (int v = 0; v < kVersionCount; ++v) {
      if (retired_.contains(v)) continue;
      uint64_t codes = 0, embeddings = 0, in_space = 0;
      for (const auto& [id, document] : documents_) {
        const auto code = document.codes.find(kVersions[v].space);
        in_space += code != document.codes.end() ? 1 : 0;
        codes += code != document.codes.end() && code->second.first == v ? 1 : 0;
        embeddings += document.embeddings.contains(kVersions[v].embedding) ? 1 : 0;
      }
      EXPECT_EQ(info->versions[v].documents, codes) << kVersions[v].name;
      EXPECT_EQ(info->versions[v].embeddings, floats() == FloatStorage::kNone ? 0 : embeddings) << kVersions[v].name;
      const VersionState expected = v == default_                   ? VersionState::kDefault
                                    : in_space == documents_.size() ? VersionState::kReady
                                                                    : VersionState::kAdded;
      if (!documents_.empty()) {
        EXPECT_EQ(info->versions[v].state, expected) << kVersions[v].name;
      }
    }
  }

  void CompareDocuments() {
    for (const auto& [id, document] : documents_) {
      const auto got = engine_->Get(collection_, {id}, true);
      ASSERT_TRUE(got.ok()) << got.status();
      ASSERT_EQ(got->size(), 1u) << id;
      EXPECT_EQ((*got)[0].attributes, (Attributes{{"n", document.n}}));
      if (floats() != FloatStorage::kFloat32) continue;
      std::map<int, std::vector<float>> embeddings;
      for (const StoredEmbedding& embedding : (*got)[0].embeddings) {
        for (const TestVersion& version : kVersions) {
          if (embedding.version == version.name) embeddings[version.embedding] = embedding.values;
        }
      }
      EXPECT_EQ(embeddings, document.embeddings) << id;
    }
  }

  void CompareAll() {
    for (int v = 0; v < kVersionCount; ++v) {
      if (retired_.contains(v)) continue;
      ASSERT_NO_FATAL_FAILURE(CompareSearches(v));
      ASSERT_NO_FATAL_FAILURE(CompareRerank(v));
    }
    ASSERT_NO_FATAL_FAILURE(CompareCounts());
  }

  void Step() {
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        return Write(random_() % 2 == 0 ? UpsertMode::kReplace : UpsertMode::kReplaceAll);
      case 3:
      case 4:
        return Write(UpsertMode::kMerge);
      case 5:
        return Delete();
      case 6: {
        const int v = static_cast<int>(random_() % kVersionCount);
        if (!retired_.contains(v)) Backfill(v);
        return;
      }
      default: {
        const int v = static_cast<int>(random_() % kVersionCount);
        if (retired_.contains(v)) return;
        ASSERT_TRUE(engine_->PromoteVersion(collection_, kVersions[v].name, kVersions[default_].name, true).ok());
        default_ = v;
      }
    }
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::string collection_ = "c";
  std::vector<std::string> models_;
  std::vector<std::vector<std::vector<float>>> vectors_;
  std::map<std::string, TestDocument> documents_;
  std::mt19937_64 random_{11};
  std::set<int> retired_;
  int default_ = 0;
};

TEST_P(EngineUpgradeTest, AgreesWithTheModel) {
  std::map<std::string, TestDocument> kept;
  int kept_default = 0;
  for (int round = 0; round < 60; ++round) {
    if (round == 40) {
      ASSERT_TRUE(engine_->CreateSnapshot("c", "s").ok());
      kept = documents_;
      kept_default = default_;
    }
    ASSERT_NO_FATAL_FAILURE(Step());
    ASSERT_NO_FATAL_FAILURE(CompareAll()) << "round " << round;
    if (round % 15 == 14) {
      ASSERT_NO_FATAL_FAILURE(CompareDocuments());
      ASSERT_NO_FATAL_FAILURE(Open());
      ASSERT_NO_FATAL_FAILURE(CompareAll()) << "after the restart of round " << round;
    }
  }
  // v1 retires; its embeddings stay, since v4 takes them, and so do its codes in the space of v2.
  ASSERT_TRUE(engine_->PromoteVersion(collection_, "v2", "", true).ok());
  default_ = 1;
  ASSERT_TRUE(engine_->RetireVersion(collection_, "v1").ok());
  retired_.insert(0);
  for (int round = 0; round < 20; ++round) {
    ASSERT_NO_FATAL_FAILURE(Step());
    ASSERT_NO_FATAL_FAILURE(CompareAll()) << "round " << round << " without v1";
  }
  ASSERT_NO_FATAL_FAILURE(Open());
  ASSERT_NO_FATAL_FAILURE(CompareAll());
  // The snapshot knows nothing of all that, and what becomes of it goes its own way.
  ASSERT_TRUE(engine_->RestoreSnapshot("c", "s", "restored").ok());
  collection_ = "restored";
  documents_ = kept;
  default_ = kept_default;
  retired_.clear();
  ASSERT_NO_FATAL_FAILURE(CompareAll());
  ASSERT_NO_FATAL_FAILURE(CompareDocuments());
  for (int round = 0; round < 10; ++round) ASSERT_NO_FATAL_FAILURE(Step());
  ASSERT_NO_FATAL_FAILURE(Open());
  ASSERT_NO_FATAL_FAILURE(CompareAll());
}

TEST(EngineBackfillTest, OneThatEndsAtOnceIsKnownToHaveEnded) {
  const TemporaryDirectory directory;
  auto engine = Engine::Open({.data_dir = directory.path(), .threads = 2});
  ASSERT_TRUE(engine.ok()) << engine.status();
  const std::string model = RandomModelFile(6, *ParseCodeSpec("24x2"), 4, 1);
  ASSERT_TRUE((*engine)->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32}, model).ok());
  for (int round = 0; round < 500; ++round) {
    ASSERT_TRUE((*engine)->StartBackfill("c", "v1", 0).ok());
    bool running = true;
    for (int i = 0; running && i < 5000; ++i) {
      absl::SleepFor(absl::Milliseconds(i == 0 ? 0 : 1));
      const auto info = (*engine)->GetCollection("c");
      ASSERT_TRUE(info.ok()) << info.status();
      running = info->versions[0].backfill->running;
    }
    ASSERT_FALSE(running) << "in round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Storage, EngineUpgradeTest,
                         ::testing::Values(Kind{FloatStorage::kNone, 1}, Kind{FloatStorage::kFloat16, 1},
                                           Kind{FloatStorage::kFloat32, 1}, Kind{FloatStorage::kFloat32, 3}));

}  // namespace
}  // namespace bebr::testing
