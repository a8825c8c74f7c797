#include "index/base/token_bucket.h"

#include <algorithm>

namespace bebr {

TokenBucket::TokenBucket(double per_second)
    : per_second_(per_second), capacity_(std::max(per_second, 1.0)), tokens_(capacity_) {}

absl::Duration TokenBucket::Take(double amount, SteadyTime now) {
  MutexLock lock(&mutex_);
  if (filled_ != -absl::InfiniteDuration() && now > filled_) {
    tokens_ = std::min(capacity_, tokens_ + absl::ToDoubleSeconds(now - filled_) * per_second_);
  }
  filled_ = std::max(filled_, now);
  const double needed = std::min(amount, capacity_);
  if (tokens_ < needed) return absl::Seconds((needed - tokens_) / per_second_);
  tokens_ -= amount;
  return absl::ZeroDuration();
}

}  // namespace bebr
