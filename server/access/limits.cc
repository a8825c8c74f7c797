#include "server/access/limits.h"

#include <algorithm>

#include "absl/hash/hash.h"

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

std::string_view HostOfPeer(std::string_view peer) { return peer.substr(0, peer.rfind(':')); }

RefusalLimits::RefusalLimits() {
  for (size_t i = 0; i < kBuckets; ++i) buckets_.push_back(std::make_unique<TokenBucket>(kPerSecond));
}

bool RefusalLimits::Take(std::string_view peer) {
  const size_t bucket = absl::HashOf(HostOfPeer(peer)) % kBuckets;
  return buckets_[bucket]->Take(1, SteadyNow()) == absl::ZeroDuration();
}

KeylessCalls::Slot KeylessCalls::Enter(std::string_view peer) {
  const size_t bucket = absl::HashOf(HostOfPeer(peer)) % kBuckets;
  Slot slot(this, bucket);  // leaves again where it is one too many
  const uint32_t calls = ++calls_, of_host = ++of_host_[bucket];
  if (calls > kMost || of_host > kMostOfHost) return Slot();
  return slot;
}

void KeylessCalls::Leave(size_t bucket) {
  --calls_;
  --of_host_[bucket];
}

}  // namespace bebr
