#include "server/call/memory_budget.h"

#include <gtest/gtest.h>

#include <atomic>

#include "index/base/retry.h"

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

}  // namespace
}  // namespace bebr
