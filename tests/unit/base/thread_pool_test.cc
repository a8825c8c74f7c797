#include "index/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace bebr {
namespace {

TEST(ThreadPoolTest, TheDestructorRunsWhatWasSubmitted) {
  std::atomic<int> ran{0};
  {
    ThreadPool pool(3);
    for (int i = 0; i < 1000; ++i) pool.Submit([&] { ran.fetch_add(1); });
  }
  EXPECT_EQ(ran.load(), 1000);
}

TEST(ThreadPoolTest, OneThreadKeepsTheOrder) {
  std::vector<int> order;
  {
    ThreadPool pool(1);
    for (int i = 0; i < 100; ++i) pool.Submit([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST(ThreadPoolTest, ParallelForCallsEachIndexOnce) {
  for (const size_t threads : {0, 1, 2, 7}) {
    ThreadPool pool(threads);
    for (const size_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> calls(count);
      pool.ParallelFor(count, [&](size_t i) { calls[i].fetch_add(1); });
      for (size_t i = 0; i < count; ++i) EXPECT_EQ(calls[i].load(), 1) << threads << " threads, index " << i;
    }
  }
}

TEST(ThreadPoolTest, ParallelForWorksInsideATask) {
  ThreadPool pool(2);
  std::atomic<int> ran{0};
  pool.ParallelFor(4, [&](size_t) { pool.ParallelFor(8, [&](size_t) { ran.fetch_add(1); }); });
  EXPECT_EQ(ran.load(), 32);
}

TEST(ThreadPoolTest, ManyThreadsMayUseIt) {
  ThreadPool pool(2);
  std::atomic<int> ran{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) pool.ParallelFor(5, [&](size_t) { ran.fetch_add(1); });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(ran.load(), 4 * 200 * 5);
}

TEST(AvailableProcessorsTest, IsAtLeastOne) { EXPECT_GE(AvailableProcessors(), 1u); }

}  // namespace
}  // namespace bebr
