// Somebody sets the wall clock while the engine works: nothing waits for the old time, and nothing loses its rate.
//
// This program has its own clock_gettime, which the libraries it uses call too: the wall clock shows what the test
// says.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/base/clock.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace {

constexpr int64_t kHour = 3600;
std::atomic<int64_t> wall_clock_ahead_s{0};
std::atomic<int64_t> every_look_adds_s{0};

}  // namespace

extern "C" int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += wall_clock_ahead_s.fetch_add(every_look_adds_s) + every_look_adds_s;
  return static_cast<int>(result);
}

namespace bebr::testing {
namespace {

constexpr size_t kDims = 8;

class EngineClockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto engine = Engine::Open({.data_dir = directory_.path(), .threads = 2});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    const std::string model = RandomModelFile(kDims, *ParseCodeSpec("64x1"), 1, 1);
    ASSERT_TRUE(
        engine_->CreateCollection({.name = "c", .store_floats = FloatStorage::kFloat16, .shards = 2}, model).ok());
    UpsertRequest request{.collection = "c"};
    for (size_t i = 0; i < vectors_.size(); ++i) {
      request.documents.push_back({.id = absl::StrCat(i), .embeddings = {{.values = vectors_[i]}}});
    }
    ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
  }
  void TearDown() override {
    every_look_adds_s = 0;
    wall_clock_ahead_s = 0;
  }

  // Whether a search of so many queries ends within two minutes.
  bool SearchEnds(size_t queries, SteadyTime deadline = absl::InfiniteDuration()) {
    auto outcome = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();
    SearchRequest request{.collection = "c", .deadline = deadline};
    for (size_t q = 0; q < queries; ++q) request.queries.push_back(vectors_[q]);
    engine_->Search(std::move(request), [outcome](auto result) { outcome->set_value(std::move(result)); });
    auto result = outcome->get_future();
    return result.wait_for(std::chrono::seconds(120)) == std::future_status::ready && result.get().ok();
  }

  TemporaryDirectory directory_;
  const std::vector<std::vector<float>> vectors_ = RandomVectors(600, kDims, 2);
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineClockTest, ThisProgramSetsTheClock) {
  const auto before = std::chrono::system_clock::now();
  const SteadyTime steady = SteadyNow();
  wall_clock_ahead_s = 10 * kHour;
  EXPECT_GT(std::chrono::system_clock::now() - before, std::chrono::hours(9));
  EXPECT_LT(SteadyNow() - steady, absl::Hours(1));
}

TEST_F(EngineClockTest, AClockThatRunsAwayHoldsNoSearchUp) {
  every_look_adds_s = kHour;
  // The second search comes while the server thinks that another two queries are about.
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(SearchEnds(2)) << i;
    ASSERT_TRUE(SearchEnds(1, SteadyNow() + absl::Minutes(5))) << i << ", with five minutes until its deadline";
  }
}

TEST_F(EngineClockTest, ABackfillKeepsItsRateWhenTheClockGoesBack) {
  const std::string model = RandomModelFile(kDims, *ParseCodeSpec("64x1"), 1, 3);
  ASSERT_TRUE(engine_->AddVersion("c", {.name = "v2", .same_embeddings_as = "v1"}, model).ok());
  // Batches of 256 documents at 200 a second: it waits for more than a second between them.
  ASSERT_TRUE(engine_->StartBackfill("c", "v2", 200).ok());
  wall_clock_ahead_s = -kHour;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto running = [&] { return engine_->GetCollection("c")->versions[1].backfill->running; };
  while (running() && std::chrono::steady_clock::now() < deadline) absl::SleepFor(absl::Milliseconds(20));
  EXPECT_FALSE(running());
  EXPECT_EQ(engine_->GetCollection("c")->versions[1].documents, vectors_.size());
}

}  // namespace
}  // namespace bebr::testing
