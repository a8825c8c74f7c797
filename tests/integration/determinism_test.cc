// The same data and query give the same answer on every instruction set, with any number of threads, before and after a
// restart.
#include <signal.h>

#include "index/simd/kernels.h"
#include "tests/integration/fixture.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

class DeterminismTest : public ServerTest {
 protected:
  // All hits of some searches, plain, filtered and reranked, as bytes.
  std::vector<std::string> Answers() {
    std::vector<std::string> answers;
    for (size_t q = 0; q < 20; ++q) {
      for (const uint32_t rerank : {0u, 60u}) {
        v1::SearchRequest request = MakeSearch("c", VectorOf(5000 + q), 50);
        request.mutable_options()->set_rerank(rerank);
        if (q % 3 == 0) request.mutable_options()->set_filter("n >= 200");
        const auto response = client_->Search(request);
        EXPECT_TRUE(response.ok()) << response.status();
        v1::SearchResponse hits;
        if (response.ok()) *hits.mutable_hits() = response->hits();
        answers.push_back(hits.SerializeAsString());
      }
    }
    return answers;
  }
  std::string Simd() { return client_->GetStats()->simd(); }
};

// Codes of levels, and trellis codes, which every table derives levels from in its own way.
class DeterminismOfShapesTest : public DeterminismTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(DeterminismOfShapesTest, SameAnswersUnderEverySetting) {
  Start();
  v1::CollectionConfig config;
  config.set_name("c");
  config.set_store_floats(v1::FLOAT_STORAGE_F32);
  config.set_shards(3);
  const auto created = client_->CreateCollection(config, RandomModelFile(kDims, *ParseCodeSpec(GetParam()), 6, 1));
  ASSERT_TRUE(created.ok()) << created.status();
  for (size_t first = 0; first < 2000; first += 500) ASSERT_TRUE(client_->Upsert(MakeUpsert("c", first, 500)).ok());
  const auto expected = Answers();
  for (const simd::KernelTable* table : simd::AllKernels()) {
    if (!table->supported()) continue;
    const char* simd = table->name;
    for (const char* threads : {"1", "2"}) {
      server_->Signal(SIGTERM);
      ASSERT_EQ(server_->Wait(), 0);
      Start({"--threads", threads}, {{"BEBR_SIMD", simd}});
      EXPECT_EQ(Simd(), simd);
      EXPECT_EQ(Answers(), expected) << simd << ", " << threads << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, DeterminismOfShapesTest,
                         ::testing::Values("40x2", "33x2t+8x4", "64x1t", "70x3t+10x1"));

TEST_F(DeterminismTest, CodesDoNotDependOnTheInstructionSetOrTheOrder) {
  Start({}, {{"BEBR_SIMD", "scalar"}});
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 700)).ok());
  const auto expected = Answers();
  ASSERT_TRUE(client_->DeleteCollection("c").ok());
  server_->Signal(SIGTERM);
  ASSERT_EQ(server_->Wait(), 0);
  Start({"--threads", "1"});
  CreateCollection();
  for (size_t first = 700; first > 0; first -= 70) ASSERT_TRUE(client_->Upsert(MakeUpsert("c", first - 70, 70)).ok());
  EXPECT_EQ(Answers(), expected);
}

}  // namespace
}  // namespace bebr::testing
