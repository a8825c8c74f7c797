#include "index/base/fair_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace bebr {
namespace {

class FairPoolTest : public testing::TestWithParam<FairPool::Manners> {};
INSTANTIATE_TEST_SUITE_P(Manners, FairPoolTest, testing::Values(FairPool::Manners::kKeep, FairPool::Manners::kGiveWay),
                         [](const auto& info) { return info.param == FairPool::Manners::kKeep ? "Keep" : "GiveWay"; });

TEST_P(FairPoolTest, MakesEveryPassOnceAndNoSlotTwiceAtATime) {
  for (const size_t threads : {0, 1, 3}) {
    FairPool pool(threads, GetParam());
    ASSERT_EQ(pool.slots(), threads + 1);
    for (const size_t count : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> passes(count), busy(pool.slots());
      pool.ParallelFor(count, [&](size_t i, size_t slot) {
        EXPECT_EQ(busy[slot].fetch_add(1), 0);
        passes[i].fetch_add(1);
        busy[slot].fetch_sub(1);
      });
      for (size_t i = 0; i < count; ++i) EXPECT_EQ(passes[i], 1);
    }
  }
}

TEST_P(FairPoolTest, ManyCallersShareIt) {
  FairPool pool(2, GetParam());
  std::vector<std::thread> callers;
  for (size_t caller = 0; caller < 6; ++caller) {
    callers.emplace_back([&pool, caller] {
      for (size_t count = caller; count < 200; count += 7) {
        std::vector<size_t> sums(pool.slots());
        pool.ParallelFor(count, [&](size_t i, size_t slot) { sums[slot] += i + 1; });
        size_t sum = 0;
        for (const size_t part : sums) sum += part;
        EXPECT_EQ(sum, count * (count + 1) / 2);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

// While a loop keeps all threads busy, helpers come over to another one, in which two passes wait for each other.
TEST_P(FairPoolTest, ALongLoopLeavesOthersTheirShare) {
  constexpr size_t kPasses = 20000000;
  FairPool pool(3, GetParam());
  std::atomic<bool> done{false};
  std::atomic<size_t> long_passes{0}, together{0};
  std::thread caller([&] {
    pool.ParallelFor(kPasses, [&](size_t, size_t) {
      if (done) return;
      long_passes.fetch_add(1);
      std::this_thread::yield();
    });
  });
  while (long_passes < 1000) std::this_thread::yield();
  pool.ParallelFor(2, [&](size_t, size_t) {
    ++together;
    while (together < 2) std::this_thread::yield();
  });
  done = true;
  EXPECT_LT(long_passes, kPasses);
  caller.join();
}

TEST_P(FairPoolTest, LoopsMayBeWithinLoops) {
  FairPool pool(2, GetParam());
  std::atomic<size_t> passes{0};
  pool.ParallelFor(10, [&](size_t, size_t) { pool.ParallelFor(10, [&](size_t, size_t) { ++passes; }); });
  EXPECT_EQ(passes, 100u);
}

}  // namespace
}  // namespace bebr
