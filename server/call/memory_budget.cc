#include "server/call/memory_budget.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "index/base/retry.h"

namespace bebr {

absl::StatusOr<MemoryBudget::Hold> MemoryBudget::Take(std::string_view holder, uint64_t bytes) {
  const uint64_t limit = this->limit();
  if (bytes > Share(0)) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the request takes up to %d bytes of memory; all requests together may take %d (max_parsed_bytes), and those "
        "of one key or host half of it; send it in parts",
        bytes, limit));
  }
  Hold hold;
  if (TakeMore(holder, bytes, hold)) return hold;
  return TryAgainLater(absl::StrFormat(
      "the requests in progress of %s take %d bytes of memory, this one %d, and its share is %d, half of what others "
      "leave of %d (max_parsed_bytes); try again later",
      holder, TakenBy(holder), bytes, ShareOf(holder), limit));
}

bool MemoryBudget::TakeMore(std::string_view holder, uint64_t bytes, Hold& hold) {
  MutexLock lock(&mutex_);
  const uint64_t own = Of(holder);
  if (own + bytes > Share(taken_ - own)) return false;
  Add(holder, bytes, hold);
  return true;
}

MemoryBudget::Hold MemoryBudget::Count(std::string_view holder, uint64_t bytes) {
  Hold hold;
  MutexLock lock(&mutex_);
  Add(holder, bytes, hold);
  return hold;
}

void MemoryBudget::Add(std::string_view holder, uint64_t bytes, Hold& hold) {
  if (bytes == 0) return;  // an entry is there for as long as something of it is held
  hold.budget_ = this;
  hold.holder_ = &*holders_.try_emplace(std::string(holder), 0).first;
  hold.holder_->second += bytes;
  hold.bytes_ += bytes;
  taken_ += bytes;
}

void MemoryBudget::Hold::ShrinkTo(uint64_t bytes) {
  if (bytes >= bytes_) return;
  const uint64_t less = bytes_ - bytes;
  bytes_ = bytes;
  MutexLock lock(&budget_->mutex_);
  budget_->taken_ -= less;
  if ((holder_->second -= less) == 0) budget_->holders_.erase(holder_->first);
}

uint64_t MemoryBudget::taken() const {
  MutexLock lock(&mutex_);
  return taken_;
}

uint64_t MemoryBudget::TakenBy(std::string_view holder) const {
  MutexLock lock(&mutex_);
  return Of(holder);
}

uint64_t MemoryBudget::ShareOf(std::string_view holder) const {
  MutexLock lock(&mutex_);
  return Share(taken_ - Of(holder));
}

uint64_t MemoryBudget::Share(uint64_t others) const {
  const uint64_t limit = this->limit();
  return (limit - std::min(limit, others)) / 2;
}

uint64_t MemoryBudget::Of(std::string_view holder) const {
  const auto found = holders_.find(std::string(holder));
  return found == holders_.end() ? 0 : found->second;
}

}  // namespace bebr
