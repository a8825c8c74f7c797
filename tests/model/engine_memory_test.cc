// The memory formula is true within 5%, during an upgrade in a shared space and after it too; what would not fit is
// refused by it; and searches take little beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/clock.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

constexpr size_t kDocuments = 50000;
constexpr double kIdBytes = 16;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // which keep what was freed, or shadow what is there
constexpr uint64_t kSanitizerMemory = 5;
#else
constexpr uint64_t kSanitizerMemory = 1;
#endif

// Of this process, in MiB: a field of /proc/self/status.
uint64_t ResidentMib(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field + ":", 0) == 0) return std::stoull(line.substr(line.find_first_of("0123456789"))) / 1024;
  }
  return 0;
}

// From now on VmHWM is the most that the process has taken since.
void ForgetMostResident() { std::ofstream("/proc/self/clear_refs") << 5; }

class EngineMemoryTest : public ::testing::Test {
 protected:
  void Open(EngineOptions options = {}) {
    engine_.reset();
    options.data_dir = directory_.path();
    options.threads = 2;
    auto engine = Engine::Open(std::move(options));
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  void Write(const std::string& version, UpsertMode mode, size_t count = kDocuments) {
    const auto vectors = RandomVectors(1000, 8, version == "v1" ? 1 : 2);
    for (size_t first = 0; first < count; first += 10000) {
      UpsertRequest request{.collection = "c", .mode = mode};
      for (size_t i = first; i < std::min(first + 10000, count); ++i) {
        DocumentInput& document = request.documents.emplace_back();
        document.id = absl::StrFormat("%016d", i);
        document.embeddings.push_back({.version = version, .values = vectors[i % vectors.size()]});
      }
      const auto result = UpsertAndWait(*engine_, std::move(request));
      ASSERT_TRUE(result.ok()) << result.status();
    }
  }
  void ExpectFormula() {
    const auto info = engine_->GetCollection("c");
    ASSERT_TRUE(info.ok()) << info.status();
    const auto formula = engine_->EstimateMemory("c", info->documents, kIdBytes);
    ASSERT_TRUE(formula.ok());
    EXPECT_NEAR(static_cast<double>(info->memory.total), static_cast<double>(formula->total),
                0.05 * static_cast<double>(formula->total));
  }
  uint64_t Figure() { return engine_->EstimateMemory("c", kDocuments, kIdBytes)->total; }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineMemoryTest, HoldsDuringAndAfterAnUpgradeInASharedSpace) {
  Open();
  const auto spec = ParseCodeSpec("64x1");
  ASSERT_TRUE(engine_
                  ->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat16, .shards = 2},
                                     RandomModelFile(8, *spec, 4, 1))
                  .ok());
  Write("v1", UpsertMode::kReplace);
  ExpectFormula();
  const uint64_t one_version = Figure();
  ASSERT_TRUE(engine_->AddVersion("c", {.name = "v2", .compatible_with = "v1"}, RandomModelFile(8, *spec, 4, 2)).ok());
  const uint64_t model = engine_->GetCollection("c")->memory.models / 2;
  EXPECT_EQ(Figure(), one_version + 2 * kDocuments + model);
  Write("v2", UpsertMode::kMerge);
  Open();  // without the rows that were replaced
  EXPECT_EQ(engine_->GetCollection("c")->versions[0].embeddings, kDocuments);
  ExpectFormula();
  const uint64_t marked = engine_->GetCollection("c")->memory.codes;
  ASSERT_TRUE(engine_->PromoteVersion("c", "v2", "v1", false).ok());
  ASSERT_TRUE(engine_->RetireVersion("c", "v1").ok());
  EXPECT_EQ(marked - engine_->GetCollection("c")->memory.codes, 2 * kDocuments) << "the marks went with the version";
  EXPECT_EQ(engine_->GetCollection("c")->versions[1].embeddings, kDocuments);
  EXPECT_EQ(Figure(), one_version);
  ExpectFormula();
}

TEST_F(EngineMemoryTest, HoldsWithSpacesOfTheirOwn) {
  Open();
  ASSERT_TRUE(
      engine_->CreateCollection({.name = "c", .shards = 2}, RandomModelFile(8, *ParseCodeSpec("32x4+64x3+96x2"), 4, 1))
          .ok());
  Write("v1", UpsertMode::kReplace);
  ExpectFormula();
  ASSERT_TRUE(engine_->AddVersion("c", {.name = "v2"}, RandomModelFile(8, *ParseCodeSpec("128x2t"), 6, 2)).ok());
  Write("v2", UpsertMode::kMerge);
  Open();
  ExpectFormula();
  ASSERT_TRUE(engine_->PromoteVersion("c", "v2", "v1", false).ok());
  ASSERT_TRUE(engine_->RetireVersion("c", "v1").ok());
  ExpectFormula();
}

// The attributes alone are within 5% too, of documents that have a number, a tenant of few, a title of their own and a
// list; long texts take a byte.
TEST_F(EngineMemoryTest, HoldsWithAttributes) {
  Open();
  ASSERT_TRUE(
      engine_->CreateCollection({.name = "c", .shards = 2}, RandomModelFile(8, *ParseCodeSpec("64x1"), 4, 1)).ok());
  const std::vector<float> vector(8, 0.5f);
  std::set<std::string> texts;
  for (size_t first = 0; first < kDocuments; first += 10000) {
    UpsertRequest request{.collection = "c"};
    for (size_t i = first; i < first + 10000; ++i) {
      const std::string tenant = absl::StrFormat("tenant-%d", i % 500);
      const std::string title = absl::StrFormat("%d: %s", i, std::string(20 + i % 60, 't'));
      const std::string tag = absl::StrFormat("tag-%d", i % 100);
      request.documents.push_back({.id = absl::StrFormat("%016d", i),
                                   .attributes = {{"n", static_cast<int64_t>(i)},
                                                  {"tenant", tenant},
                                                  {"title", title},
                                                  {"tags", AttributeList{tag, int64_t{7}}},
                                                  {"body", std::string(300, 'x')}},
                                   .embeddings = {{.values = vector}}});
      texts.insert(tenant);
      texts.insert(title);
      texts.insert(tag + "in a list with a number");
    }
    ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
  }
  AttributeLoad load{.per_document = 4.1, .distinct_texts = texts.size()};
  for (const std::string& text : texts) load.text_bytes += static_cast<double>(text.size());
  load.text_bytes /= static_cast<double>(texts.size());
  for (int opened = 0; opened < 2; ++opened) {
    const auto info = engine_->GetCollection("c");
    const auto formula = engine_->EstimateMemory("c", kDocuments, kIdBytes, load);
    ASSERT_TRUE(info.ok() && formula.ok()) << formula.status();
    EXPECT_NEAR(static_cast<double>(info->memory.attributes), static_cast<double>(formula->attributes),
                0.05 * static_cast<double>(formula->attributes));
    EXPECT_NEAR(static_cast<double>(info->memory.total), static_cast<double>(formula->total),
                0.05 * static_cast<double>(formula->total));
    Open();
  }
  for (const AttributeLoad& wrong : {AttributeLoad{.per_document = 65}, AttributeLoad{.per_document = -1},
                                     AttributeLoad{.distinct_texts = 1, .text_bytes = 2e6}}) {
    EXPECT_EQ(engine_->EstimateMemory("c", 1, 0, wrong).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(EngineMemoryTest, WhatWouldNotFitIsRefusedWithTheFigure) {
  Open({.memory_limit_bytes = 10'000'000});
  const std::string model = RandomModelFile(8, *ParseCodeSpec("64x1"), 4, 1);
  const auto create = [&](const std::string& name, uint64_t documents) {
    return engine_->CreateCollection({.name = name, .shards = 2, .expected_documents = documents}, model);
  };
  const absl::Status refused = create("c", 1'000'000);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("1000000 documents take"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("memory_limit_bytes is 10000000"));
  EXPECT_TRUE(engine_->ListCollections().empty());
  ASSERT_TRUE(create("c", 130'000).ok());
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr(absl::StrFormat("%d bytes", engine_->EstimateMemory("c", 1'000'000, kIdBytes)->total)));
  // What the first expects is set aside, also after a restart.
  EXPECT_EQ(create("d", 130'000).code(), absl::StatusCode::kResourceExhausted);
  Open({.memory_limit_bytes = 10'000'000});
  EXPECT_EQ(create("d", 130'000).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(engine_->GetCollection("c")->expected_documents, 130'000u);
  ASSERT_TRUE(create("d", 10'000).ok());
  // A second space for the same documents.
  EXPECT_EQ(engine_->AddVersion("c", {.name = "v2"}, RandomModelFile(8, *ParseCodeSpec("2048x1"), 4, 2)).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(engine_->GetCollection("c")->versions.size(), 1u);
  EXPECT_EQ(create("e", uint64_t{1} << 41).code(), absl::StatusCode::kInvalidArgument);
  // A snapshot takes what its collection takes.
  ASSERT_TRUE(engine_->CreateSnapshot("c", "s").ok());
  EXPECT_EQ(engine_->RestoreSnapshot("c", "s", "e").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(engine_->ListCollections().size(), 2u);
  Open();  // no limit: that of the machine
  EXPECT_THAT(std::string(create("e", uint64_t{1} << 40).message()), HasSubstr("the memory of this machine"));
}

// What is expected counts with the attributes that documents have so far, of a collection itself and of the others.
TEST_F(EngineMemoryTest, AttributesAreExpectedAsDocumentsHaveThem) {
  constexpr uint64_t kExpected = 100'000;
  Open();
  const std::string model = RandomModelFile(8, *ParseCodeSpec("64x1"), 4, 1);
  ASSERT_TRUE(engine_->CreateCollection({.name = "c", .shards = 2, .expected_documents = kExpected}, model).ok());
  const std::vector<float> vector(8, 0.5f);  // the request borrows it
  UpsertRequest request{.collection = "c"};
  for (size_t i = 0; i < 500; ++i) {
    DocumentInput& document = request.documents.emplace_back();
    document.id = absl::StrFormat("%016d", i);
    document.attributes["text"] = absl::StrFormat("%200d", i);
    document.embeddings.push_back({.values = vector});
  }
  const auto written = UpsertAndWait(*engine_, std::move(request));
  ASSERT_TRUE(written.ok()) << written.status();
  const MemoryUse figure = *engine_->EstimateMemory("c", kExpected, kIdBytes);
  ASSERT_GT(figure.attributes, 200 * kExpected);
  const auto add = [&] { return engine_->AddVersion("c", {.name = "v2", .compatible_with = "v1"}, model); };
  const auto create = [&] { return engine_->CreateCollection({.name = "d", .expected_documents = 1}, model); };
  engine_->SetLimits({.memory_limit_bytes = figure.total});
  EXPECT_EQ(add().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(add().message()), HasSubstr(absl::StrFormat("attributes %d,", figure.attributes)));
  EXPECT_EQ(create().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(create().message()), HasSubstr(absl::StrFormat("hold or expect %d,", figure.total)));
  engine_->SetLimits({.memory_limit_bytes = 2 * figure.total});
  EXPECT_TRUE(add().ok()) << add();
  EXPECT_TRUE(create().ok()) << create();
}

// Every query has a code for each group, so the most that one request may have takes many times its own bytes if all
// are made at once.
TEST_F(EngineMemoryTest, ManyQueriesForManyGroupsTakeLittle) {
  Open();
  const CodeSpec spec = WithGroups(*ParseCodeSpec("1536x4"), 64);
  ASSERT_TRUE(engine_->CreateCollection({.name = "c", .shards = 1}, RandomModelFile(8, spec, 4, 1)).ok());
  Write("v1", UpsertMode::kReplace, 200);
  const auto vectors = RandomVectors(kMaxQueriesPerRequest, 8, 3);
  ASSERT_TRUE(SearchAndWait(*engine_, {.collection = "c", .queries = {vectors[0]}}).ok());
  ForgetMostResident();
  const uint64_t before = ResidentMib("VmRSS");
  const auto batch = SearchAndWait(*engine_, {.collection = "c", .queries = {vectors.begin(), vectors.end()}});
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_LT(ResidentMib("VmHWM"), before + 80 * kSanitizerMemory) << "32 of them codes";
  // So many clients at a time.
  ForgetMostResident();
  std::vector<std::future<absl::StatusOr<SearchResult>>> outcomes;
  for (size_t i = 0; i < 512; ++i) {
    auto outcome = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();
    outcomes.push_back(outcome->get_future());
    engine_->Search({.collection = "c", .queries = {vectors[i]}},
                    [outcome](absl::StatusOr<SearchResult> result) { outcome->set_value(std::move(result)); });
  }
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const auto result = outcomes[i].get();
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->hits[0][0].id, batch->hits[i][0].id);
  }
  EXPECT_LT(ResidentMib("VmHWM"), before + 400 * kSanitizerMemory) << "256 of them codes, and a scan more a driver";
}

TEST_F(EngineMemoryTest, TheMonitorMeasuresWhatTheCheckDoes) {
  Open({.recall_monitor_interval = absl::Milliseconds(50), .recall_monitor_documents_per_s = 100000});
  ASSERT_TRUE(engine_
                  ->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2},
                                     RandomModelFile(8, *ParseCodeSpec("64x2"), 4, 1))
                  .ok());
  ASSERT_TRUE(engine_
                  ->AddVersion("c", {.name = "v2", .same_embeddings_as = "v1"},
                               RandomModelFile(8, *ParseCodeSpec("32x1"), 4, 2))
                  .ok());
  Write("v1", UpsertMode::kReplace, 1000);
  for (int i = 0; i < 600 && engine_->Stats().recall_measured < 6; ++i) absl::SleepFor(absl::Milliseconds(50));
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      engine_->CheckVersion("c", {.version = "v2", .sample = 100, .k = 10, .deadline = SteadyNow()}).status()));
  const auto check = engine_->CheckVersion("c", {.version = "v2", .sample = 100, .k = 10});
  ASSERT_TRUE(check.ok()) << check.status();
  const auto info = engine_->GetCollection("c");
  ASSERT_TRUE(info->versions[0].recall.has_value() && info->versions[1].recall.has_value());
  EXPECT_EQ(info->versions[1].recall->recall, check->recall);
  EXPECT_EQ(info->versions[0].recall->recall, check->against_recall);
  EXPECT_EQ(info->versions[0].recall->queries, 100u);
  EXPECT_EQ(engine_->Stats().recall_failed, 0u);
  EXPECT_GT(check->against_recall, check->recall);  // 128 bits against 32
}

}  // namespace
}  // namespace bebr::testing
