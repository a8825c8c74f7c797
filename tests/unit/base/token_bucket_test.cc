#include "index/base/token_bucket.h"

#include <gtest/gtest.h>

#include "absl/time/time.h"

namespace bebr {
namespace {

const SteadyTime kStart = absl::Hours(1000);

TEST(TokenBucket, HoldsASecondsWorth) {
  TokenBucket bucket(10);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(bucket.Take(1, kStart), absl::ZeroDuration()) << i;
  EXPECT_EQ(bucket.Take(1, kStart), absl::Milliseconds(100));
  EXPECT_GT(bucket.Take(1, kStart + absl::Milliseconds(99)), absl::ZeroDuration());
  EXPECT_EQ(bucket.Take(1, kStart + absl::Milliseconds(101)), absl::ZeroDuration());
}

TEST(TokenBucket, FillsNoFurtherThanASecond) {
  TokenBucket bucket(10);
  EXPECT_EQ(bucket.Take(10, kStart), absl::ZeroDuration());
  const SteadyTime later = kStart + absl::Hours(1);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(bucket.Take(1, later), absl::ZeroDuration()) << i;
  EXPECT_GT(bucket.Take(1, later), absl::ZeroDuration());
}

TEST(TokenBucket, ALargeAmountIsPaidForAfterwards) {
  TokenBucket bucket(100);
  EXPECT_EQ(bucket.Take(350, kStart), absl::ZeroDuration());
  EXPECT_EQ(bucket.Take(1, kStart), absl::Milliseconds(2510));
  EXPECT_EQ(bucket.Take(350, kStart + absl::Seconds(2.5)), absl::Seconds(1));
  EXPECT_EQ(bucket.Take(350, kStart + absl::Seconds(3.5)), absl::ZeroDuration());
}

TEST(TokenBucket, LetsSlowRatesThroughOneByOne) {
  TokenBucket bucket(0.5);
  EXPECT_EQ(bucket.Take(1, kStart), absl::ZeroDuration());
  EXPECT_EQ(bucket.Take(1, kStart), absl::Seconds(2));
  EXPECT_EQ(bucket.Take(1, kStart + absl::Seconds(2)), absl::ZeroDuration());
}

TEST(TokenBucket, AClockThatGoesBackTakesNothingAway) {
  TokenBucket bucket(10);
  EXPECT_EQ(bucket.Take(5, kStart), absl::ZeroDuration());
  EXPECT_EQ(bucket.Take(5, kStart - absl::Hours(1)), absl::ZeroDuration());
  EXPECT_EQ(bucket.Take(1, kStart), absl::Milliseconds(100));
}

}  // namespace
}  // namespace bebr
