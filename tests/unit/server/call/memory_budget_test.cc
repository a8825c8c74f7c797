#include "server/call/memory_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "index/base/retry.h"
#include "server/call/answer_memory.h"

namespace bebr {
namespace {

TEST(MemoryBudget, RefusesWhatIsNotLeft) {
  std::atomic<uint64_t> limit = 200;
  MemoryBudget budget(limit);
  auto first = budget.Take("a", 60);
  ASSERT_TRUE(first.ok());
  const absl::Status refused = budget.Take("a", 41).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(RetryDelayOf(refused), absl::ZeroDuration());
  EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("its share is 100"));
  EXPECT_EQ(budget.taken(), 60u);  // nothing of what was refused stays
  {
    const auto second = budget.Take("a", 40);
    EXPECT_TRUE(second.ok());
  }
  MemoryBudget::Hold moved = *std::move(first);
  EXPECT_EQ(budget.TakenBy("a"), 60u);
  moved.ShrinkTo(10);
  EXPECT_EQ(budget.taken(), 10u);
  moved = MemoryBudget::Hold();
  EXPECT_EQ(budget.taken(), 0u);
}

TEST(MemoryBudget, NobodyTakesWhatOthersNeed) {
  std::atomic<uint64_t> limit = 1024;
  MemoryBudget budget(limit);
  std::vector<MemoryBudget::Hold> holds;
  for (const char* holder : {"a", "b", "c", "d", "e"}) {
    const uint64_t before = budget.taken();
    for (auto hold = budget.Take(holder, 1); hold.ok(); hold = budget.Take(holder, 1))
      holds.push_back(*std::move(hold));
    EXPECT_EQ(budget.TakenBy(holder), (1024 - before) / 2);
  }
  holds.clear();
  EXPECT_EQ(budget.taken(), 0u);
  // What is there already counts whatever the limit.
  const MemoryBudget::Hold there = budget.Count("a", 2000);
  EXPECT_EQ(budget.TakenBy("a"), 2000u);
  EXPECT_FALSE(budget.Take("b", 1).ok());
}

TEST(MemoryBudget, WaitingDoesNotHelpWhatIsLargerThanAShare) {
  std::atomic<uint64_t> limit = 100;
  MemoryBudget budget(limit);
  const absl::Status refused = budget.Take("a", 51).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryDelayOf(refused), absl::ZeroDuration());
  limit = 200;
  EXPECT_TRUE(budget.Take("a", 51).ok());
}

TEST(AnswerMemory, OneMayTakeHalf) {
  std::atomic<uint64_t> limit = 100;
  MemoryBudget budget(limit);
  AnswerMemory first(budget, "a"), second(budget, "a"), third(budget, "b");
  EXPECT_TRUE(first.Take(20).ok());
  EXPECT_TRUE(first.Take(30).ok());
  const absl::Status large = first.Take(1);
  EXPECT_EQ(large.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryDelayOf(large), absl::ZeroDuration());
  EXPECT_THAT(std::string(large.message()), ::testing::HasSubstr("half of max_answer_bytes"));
  const absl::Status full = second.Take(1);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(RetryDelayOf(full), absl::ZeroDuration());
  EXPECT_TRUE(third.Take(25).ok());
  { const MemoryBudget::Hold released = first.Release(); }
  EXPECT_EQ(budget.taken(), 25u);
  EXPECT_TRUE(second.Take(37).ok());
}

}  // namespace
}  // namespace bebr
