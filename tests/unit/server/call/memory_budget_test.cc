#include "server/call/memory_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "index/base/retry.h"
#include "server/call/answer_memory.h"

namespace bebr {
namespace {

TEST(MemoryBudget, RefusesWhatIsNotLeft) {
  std::atomic<uint64_t> limit = 100;
  MemoryBudget budget(limit);
  auto first = budget.Take(60);
  ASSERT_TRUE(first.ok());
  const absl::Status refused = budget.Take(41).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(RetryDelayOf(refused), absl::ZeroDuration());
  EXPECT_EQ(budget.taken(), 60u);  // nothing of what was refused stays
  {
    const auto second = budget.Take(40);
    EXPECT_TRUE(second.ok());
  }
  MemoryBudget::Hold moved = *std::move(first);
  EXPECT_EQ(budget.taken(), 60u);
  moved = MemoryBudget::Hold();
  EXPECT_EQ(budget.taken(), 0u);
}

TEST(MemoryBudget, WaitingDoesNotHelpWhatIsLargerThanAll) {
  std::atomic<uint64_t> limit = 100;
  MemoryBudget budget(limit);
  const absl::Status refused = budget.Take(101).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryDelayOf(refused), absl::ZeroDuration());
  limit = 200;
  EXPECT_TRUE(budget.Take(101).ok());
}

TEST(AnswerMemory, OneMayTakeHalf) {
  std::atomic<uint64_t> limit = 100;
  MemoryBudget budget(limit);
  AnswerMemory first(budget), second(budget), third(budget);
  EXPECT_TRUE(first.Take(20).ok());
  EXPECT_TRUE(first.Take(30).ok());
  const absl::Status large = first.Take(1);
  EXPECT_EQ(large.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryDelayOf(large), absl::ZeroDuration());
  EXPECT_THAT(std::string(large.message()), ::testing::HasSubstr("half of max_answer_bytes"));
  EXPECT_TRUE(second.Take(50).ok());
  const absl::Status full = third.Take(1);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(RetryDelayOf(full), absl::ZeroDuration());
  { const MemoryBudget::Hold released = first.Release(); }
  EXPECT_EQ(budget.taken(), 50u);
  EXPECT_TRUE(third.Take(50).ok());
}

}  // namespace
}  // namespace bebr
