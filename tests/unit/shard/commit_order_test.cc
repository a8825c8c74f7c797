#include "index/shard/commit_order.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace bebr {
namespace {

TEST(CommitOrderTest, CommitsAreAtDifferentStepsAtTheSameTime) {
  CommitOrder order([] {});
  EXPECT_EQ(order.running(), 0u);
  auto first = std::make_unique<CommitTurn>(&order);
  EXPECT_EQ(order.running(), 1u);
  EXPECT_FALSE(order.HasLeft(CommitStep::kPrepare));
  first->Begin(CommitStep::kStore);
  EXPECT_TRUE(order.HasLeft(CommitStep::kPrepare));
  EXPECT_TRUE(order.HasLeft(CommitStep::kLog));
  EXPECT_FALSE(order.HasLeft(CommitStep::kStore));
  CommitTurn second(&order);
  second.Begin(CommitStep::kLog);
  second.Begin(CommitStep::kLog);      // where it is already
  second.Begin(CommitStep::kPrepare);  // where it was
  EXPECT_FALSE(order.HasLeft(CommitStep::kLog));
  EXPECT_EQ(order.running(), 2u);
  first.reset();
  EXPECT_EQ(order.running(), 1u);
  second.Begin(CommitStep::kAnswer);
  EXPECT_TRUE(order.HasLeft(CommitStep::kApply));
}

TEST(CommitOrderTest, AStepBeginsWhenTheCommitBeforeHasLeftIt) {
  CommitOrder order([] {});
  std::optional<CommitTurn> first;
  first.emplace(&order);
  first->Begin(CommitStep::kAnswer);
  std::atomic<bool> applying{false}, answering{false};
  std::thread thread([&] {
    CommitTurn second(&order);
    second.Begin(CommitStep::kApply);
    applying = true;
    second.Begin(CommitStep::kAnswer);
    EXPECT_TRUE(answering);
  });
  while (!applying) std::this_thread::yield();
  answering = true;
  first.reset();
  thread.join();
  EXPECT_EQ(order.running(), 0u);
}

TEST(CommitOrderTest, NoneOvertakesAnotherAndOneIsAtAStep) {
  constexpr size_t kCommits = 200;
  std::atomic<size_t> moves{0};
  CommitOrder order([&] { moves.fetch_add(1); });
  std::array<std::atomic<size_t>, kCommitSteps> next = {};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kCommits; ++i) {
    while (!order.HasLeft(CommitStep::kPrepare)) std::this_thread::yield();
    auto turn = std::make_shared<CommitTurn>(&order);
    threads.emplace_back([&, i, turn]() mutable {
      for (size_t step = 0; step < kCommitSteps; ++step) {
        if (i % 3 == 0 && step == 2) continue;  // some steps are nothing to some
        turn->Begin(static_cast<CommitStep>(step));
        const size_t before = next[step].fetch_add(1);
        if (step != 2) {
          EXPECT_EQ(before, i);
        }
      }
    });
    turn.reset();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(order.running(), 0u);
  EXPECT_EQ(moves, kCommits * kCommitSteps);
}

}  // namespace
}  // namespace bebr
