// Random operations on an engine and on an obvious model of it, with restarts, for many code shapes and thread counts:
// every search must give the model's ids and scores exactly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <random>

#include "absl/strings/str_cat.h"
#include "index/search/small_searches.h"
#include "index/shard/shard_set.h"
#include "index/simd/kernels.h"
#include "tests/support/engine_calls.h"
#include "tests/support/reference_search.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

struct Case {
  const char* shape;
  uint32_t query_levels;
  uint32_t input_dims;
  size_t threads;
  uint32_t shards;
  FloatStorage floats;
  Metric metric;
  uint32_t groups = 1;
};

class EngineModelTest : public ::testing::TestWithParam<Case> {
 protected:
  void Open() {
    // Small searches run apart from the others: now all are small, now some, now none.
    constexpr SmallLimits kLimits[] = {{}, {0, 64, 0}, {0, 0, 0}};
    SmallLimits::Standard() = kLimits[opened_++ % std::size(kLimits)];
    // Some starts read layout files, others the store.
    ShardSet::LeastLayoutDocuments() = opened_ % 4 == 0 ? 1000000 : 0;
    auto engine = Engine::Open({.data_dir = directory_.path(), .threads = GetParam().threads});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  void Compare(const std::vector<float>& query, size_t k, const std::string& filter,
               const std::function<bool(const Attributes&)>& accept) {
    const auto expected = reference_->Search(query, k, accept);
    const SearchRequest request{.collection = "c", .queries = {query}, .k = k, .filter = filter};
    ExpectHits(request, expected);
    // By bounds, and by the first levels with every document a candidate: the same.
    for (uint32_t levels : {1, 2, 3}) {
      SearchRequest progressive = request;
      progressive.first_levels = levels;
      ExpectHits(progressive, expected);
      progressive.candidates = 10000;
      ExpectHits(progressive, expected);
    }
  }

  void CompareProgressive(const std::vector<float>& query, size_t k, uint32_t first_levels, size_t candidates) {
    ExpectHits({.collection = "c", .queries = {query}, .k = k, .first_levels = first_levels, .candidates = candidates},
               reference_->SearchProgressive(query, k, first_levels, candidates));
  }

  // The nearest groups alone: in any way that a scan goes.
  void CompareProbe(const std::vector<float>& query, size_t k, float share) {
    SCOPED_TRACE(absl::StrCat("probe ", share));
    const auto [groups, scanned] = reference_->Probe(query, share);
    const auto expected = reference_->Search(query, k, {}, groups);
    SearchRequest request{.collection = "c", .queries = {query}, .k = k, .probe = share};
    const auto result = SearchAndWait(*engine_, request);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_DOUBLE_EQ(result->scanned_share, scanned);
    if (GetParam().groups > 1) {
      EXPECT_EQ(result->documents_scanned, std::llround(scanned * static_cast<double>(reference_->documents().size())));
    }
    ExpectHits(request, expected);
    request.first_levels = 1;
    ExpectHits(request, expected);
    request.candidates = k + 30;
    ExpectHits(request, reference_->SearchProgressive(query, k, 1, k + 30, groups));
    request.candidates = request.first_levels = 0;
    for (const auto& [filter, size] : {std::pair("size = 3", 3), std::pair("size >= 0", -1)}) {
      request.filter = filter;
      const auto accept = [least = size](const Attributes& a) {
        const auto found = a.find("size");
        return found != a.end() && (least < 0 || std::get<int64_t>(found->second) == least);
      };
      ExpectHits(request, reference_->Search(query, k, accept, groups));
    }
  }

  void ExpectHits(SearchRequest request, const std::vector<ReferenceCollection::Hit>& expected) {
    SCOPED_TRACE(absl::StrCat("k ", request.k, ", filter '", request.filter, "', first levels ", request.first_levels,
                              ", candidates ", request.candidates));
    const auto result = SearchAndWait(*engine_, std::move(request));
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->hits[0].size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(result->hits[0][i].id, expected[i].id) << "rank " << i;
      EXPECT_EQ(result->hits[0][i].score, expected[i].score) << "rank " << i;
      EXPECT_EQ(result->hits[0][i].version, "v1");
    }
  }

  void CompareAll(uint64_t seed) {
    for (const auto& query : RandomVectors(3, GetParam().input_dims, seed)) {
      Compare(query, 10, "", {});
      Compare(query, 1, "", {});
      Compare(query, 10000, "", {});
      Compare(query, 7, "color < \"green\"", [](const Attributes& a) {
        const auto color = a.find("color");
        return color != a.end() && color->second == AttributeValue("blue");
      });
      CompareProgressive(query, 5, 1, 40);
      CompareProgressive(query, 20, 2, 20);
      for (const float share : {1e-30f, 0.1f, 0.45f, 0.9f, 1.0f}) CompareProbe(query, 10, share);
      Compare(query, 7, "color = \"red\" AND size < 5", [](const Attributes& a) {
        const auto color = a.find("color");
        const auto size = a.find("size");
        return color != a.end() && color->second == AttributeValue("red") && size != a.end() &&
               std::get<int64_t>(size->second) < 5;
      });
    }
    const auto info = engine_->GetCollection("c");
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(info->documents, reference_->documents().size());
    EXPECT_EQ(info->versions[0].documents, reference_->documents().size());
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  size_t opened_ = 0;  // so often
  std::unique_ptr<ReferenceCollection> reference_;
};

TEST_P(EngineModelTest, AgreesWithTheModel) {
  const Case& c = GetParam();
  if (const char* name = std::getenv("BEBR_SIMD"); name != nullptr && !simd::FindKernels(name)->supported()) {
    GTEST_SKIP() << "this processor has no " << name;
  }
  const CodeSpec spec = WithGroups(*ParseCodeSpec(c.shape), c.groups);
  const std::string model = RandomModelFile(c.input_dims, spec, c.query_levels, 1, c.metric);
  reference_ = std::make_unique<ReferenceCollection>(model, c.floats == FloatStorage::kFloat16);
  ASSERT_NO_FATAL_FAILURE(Open());
  ASSERT_TRUE(engine_->CreateCollection({.name = "c", .store_floats = c.floats, .shards = c.shards}, model).ok());
  std::mt19937_64 random(7);
  const auto pool =
      RandomVectors(64, c.input_dims, 99);  // few different vectors: many equal scores, so ids must break the ties
  for (int round = 0; round < 12; ++round) {
    for (int batch = 0; batch < 4; ++batch) {
      UpsertRequest request{.collection = "c"};
      const size_t count = 1 + random() % 200;
      for (size_t i = 0; i < count; ++i) {
        DocumentInput& document = request.documents.emplace_back();
        document.id = absl::StrCat("doc-", random() % 1500);
        if (random() % 4 != 0) document.attributes["color"] = std::string(random() % 2 == 0 ? "red" : "blue");
        if (random() % 4 != 0) document.attributes["size"] = static_cast<int64_t>(random() % 10);
        const auto& vector = pool[random() % pool.size()];
        document.embeddings.push_back({.values = vector});
        reference_->Upsert(document.id, vector, document.attributes);
      }
      ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
    }
    std::vector<std::string> ids;
    uint64_t expected_deleted = 0;
    for (int i = 0; i < 100; ++i) {
      ids.push_back(absl::StrCat("doc-", random() % 1500));
      expected_deleted += reference_->Delete(ids.back()) ? 1 : 0;
    }
    const auto deleted = DeleteAndWait(*engine_, "c", ids);
    ASSERT_TRUE(deleted.ok()) << deleted.status();
    EXPECT_EQ(*deleted, expected_deleted);
    ASSERT_NO_FATAL_FAILURE(CompareAll(1000 + round));
    if (round % 4 == 3) {
      engine_.reset();
      ASSERT_NO_FATAL_FAILURE(Open());
      ASSERT_NO_FATAL_FAILURE(CompareAll(2000 + round));
    }
  }
  if (c.floats == FloatStorage::kNone) return;
  const auto queries = RandomVectors(2, c.input_dims, 5);
  for (const auto& query : queries) {
    // With every document as a candidate, rerank is the exact search.
    const auto result = SearchAndWait(*engine_, {.collection = "c", .queries = {query}, .k = 20, .rerank = 10000});
    ASSERT_TRUE(result.ok()) << result.status();
    const auto expected = reference_->SearchExact(query, 20);
    ASSERT_EQ(result->hits[0].size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(result->hits[0][i].score_kind, ScoreKind::kExact);
      EXPECT_NEAR(result->hits[0][i].score, expected[i].score, 1e-5 * std::max(1.0f, std::fabs(expected[i].score)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EngineModelTest,
    ::testing::Values(Case{"64x1", 1, 16, 1, 1, FloatStorage::kNone, Metric::kCosine},
                      Case{"37x1+9x3", 6, 20, 2, 2, FloatStorage::kFloat16, Metric::kCosine},
                      Case{"130x2", 2, 33, 2, 3, FloatStorage::kFloat32, Metric::kInnerProduct},
                      Case{"65x3", 4, 24, 1, 2, FloatStorage::kNone, Metric::kInnerProduct},
                      Case{"129x4", 4, 40, 2, 1, FloatStorage::kFloat16, Metric::kInnerProduct},
                      Case{"8x4+17x3+33x2+70x1", 4, 31, 2, 2, FloatStorage::kFloat32, Metric::kCosine},
                      Case{"40x2", 6, 24, 2, 2, FloatStorage::kFloat16, Metric::kCosine, 6},
                      Case{"17x3+33x1", 5, 20, 2, 1, FloatStorage::kFloat32, Metric::kInnerProduct, 40},
                      Case{"67x2+20x4", 4, 30, 2, 2, FloatStorage::kFloat32, Metric::kL2},
                      Case{"48x3", 6, 24, 2, 1, FloatStorage::kFloat16, Metric::kL2, 6},
                      Case{"64x1t+33x2t", 6, 24, 2, 2, FloatStorage::kFloat16, Metric::kCosine},
                      Case{"20x4+67x3t", 6, 30, 2, 1, FloatStorage::kFloat32, Metric::kInnerProduct},
                      Case{"48x2t", 6, 24, 2, 2, FloatStorage::kFloat32, Metric::kL2, 6}));

TEST(EngineGroupsTest, CodesAndExplanationsNameTheGroup) {
  TemporaryDirectory directory;
  auto engine = *Engine::Open({.data_dir = directory.path(), .threads = 2});
  const std::string model = RandomModelFile(8, WithGroups(*ParseCodeSpec("32x1"), 12), 6, 3);
  ASSERT_TRUE(engine->CreateCollection({.name = "c", .shards = 2}, model).ok());
  const auto vectors = RandomVectors(200, 8, 4);
  UpsertRequest request{.collection = "c"};
  for (const auto& vector : vectors) {
    request.documents.push_back({.id = absl::StrCat(request.documents.size()), .embeddings = {{.values = vector}}});
  }
  ASSERT_TRUE(UpsertAndWait(*engine, std::move(request)).ok());
  const auto page = engine->Scroll({.collection = "c", .limit = 1000, .with_codes = true});
  ASSERT_TRUE(page.ok() && page->documents.size() == 200) << page.status();
  std::map<std::string, uint32_t> group_of;
  std::set<uint32_t> groups;
  for (const PageDocument& entry : page->documents) {
    groups.insert(group_of[entry.document.id] = entry.codes.at(0).group);
  }
  EXPECT_GT(groups.size(), 3u);
  EXPECT_LT(*groups.rbegin(), 12u);
  const auto found = SearchAndWait(*engine, {.collection = "c", .queries = {vectors[5]}, .k = 200, .explain = true});
  ASSERT_TRUE(found.ok() && found->hits[0].size() == 200) << found.status();
  for (const SearchHit& hit : found->hits[0]) {
    EXPECT_EQ(hit.explanation->group, group_of.at(hit.id));
    EXPECT_EQ(hit.explanation->estimate, hit.score);
  }
}

class EngineReclaimTest : public ::testing::TestWithParam<uint32_t> {};

INSTANTIATE_TEST_SUITE_P(Groups, EngineReclaimTest, ::testing::Values(1, 12));

TEST_P(EngineReclaimTest, ReplacedRowsGiveTheirMemoryBack) {
  TemporaryDirectory directory;
  auto engine = *Engine::Open({.data_dir = directory.path(), .threads = 2});
  const std::string model =
      RandomModelFile(8, WithGroups(*ParseCodeSpec("32x1"), GetParam()), GetParam() > 1 ? 6 : 1, 3);
  ASSERT_TRUE(engine->CreateCollection({.name = "c", .shards = 1}, model).ok());
  ReferenceCollection reference(model);
  const auto vectors = RandomVectors(512, 8, 4);
  constexpr size_t kDocuments = 30000, kRounds = 8;
  for (size_t round = 0; round < kRounds; ++round) {
    for (size_t begin = 0; begin < kDocuments; begin += 5000) {
      UpsertRequest request{.collection = "c"};
      for (size_t i = begin; i < begin + 5000; ++i) {
        DocumentInput& document = request.documents.emplace_back();
        document.id = absl::StrCat(i);
        const auto& vector = vectors[(i * 7 + round * 13) % vectors.size()];
        document.embeddings.push_back({.values = vector});
        if (round + 1 == kRounds) reference.Upsert(document.id, vector, {});
      }
      ASSERT_TRUE(UpsertAndWait(*engine, std::move(request)).ok());
    }
  }
  const auto info = engine->GetCollection("c");
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->documents, kDocuments);
  EXPECT_LE(info->deleted_rows, kDocuments);  // of 7 x kDocuments replaced
  const auto result = SearchAndWait(*engine, {.collection = "c", .queries = {vectors[5]}, .k = 100});
  ASSERT_TRUE(result.ok());
  const auto expected = reference.Search(vectors[5], 100);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(result->hits[0][i].id, expected[i].id);
}

TEST(EngineConcurrencyTest, SearchesSeeWholeDocumentsWhileTheyAreReplaced) {
  TemporaryDirectory directory;
  auto engine = *Engine::Open({.data_dir = directory.path(), .threads = 2});
  const std::string model = RandomModelFile(8, *ParseCodeSpec("40x2"), 4, 3);
  ASSERT_TRUE(engine->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2}, model).ok());
  const auto vectors = RandomVectors(50, 8, 4);
  const auto write = [&](int generation) {
    UpsertRequest request{.collection = "c"};
    for (int i = 0; i < 50; ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat("d", i);
      document.attributes["generation"] = static_cast<int64_t>(generation);
      document.embeddings.push_back({.values = vectors[(i + generation) % 50]});
    }
    return UpsertAndWait(*engine, std::move(request));
  };
  ASSERT_TRUE(write(0).ok());
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int generation = 1; !stop; ++generation) ASSERT_TRUE(write(generation).ok());
  });
  for (int i = 0; i < 200; ++i) {
    const auto result = SearchAndWait(
        *engine, {.collection = "c", .queries = {vectors[i % 50]}, .k = 50, .rerank = 50, .with_attributes = true});
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->hits[0].size(), 50u);  // never a document missing or there twice
    // The floats that reranked a document are those of the same generation as its code and attributes: its exact score
    // is its vector's.
    std::set<std::string> ids;
    for (const SearchHit& hit : result->hits[0]) {
      ids.insert(hit.id);
      const int64_t generation = std::get<int64_t>(hit.attributes.at("generation"));
      const auto& vector = vectors[(std::stoi(hit.id.substr(1)) + generation) % 50];
      double dot = 0, a = 0, b = 0;
      for (int d = 0; d < 8; ++d) {
        dot += double{vector[d]} * vectors[i % 50][d];
        a += double{vector[d]} * vector[d];
        b += double{vectors[i % 50][d]} * vectors[i % 50][d];
      }
      EXPECT_NEAR(hit.score, dot / std::sqrt(a * b), 1e-5);
    }
    EXPECT_EQ(ids.size(), 50u);
  }
  stop = true;
  writer.join();
}

}  // namespace
}  // namespace bebr::testing
