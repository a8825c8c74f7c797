#include "server/call/memory_budget.h"

#include "absl/strings/str_format.h"
#include "index/base/retry.h"

namespace bebr {

absl::StatusOr<MemoryBudget::Hold> MemoryBudget::Take(uint64_t bytes) {
  const uint64_t limit = this->limit();
  if (bytes > limit) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the request takes up to %d bytes of memory and all requests together may take %d (max_parsed_bytes); send it "
        "in parts",
        bytes, limit));
  }
  Hold hold;
  if (TakeMore(bytes, hold)) return hold;
  return TryAgainLater(
      absl::StrFormat("the requests in progress take %d bytes of memory, this one %d, and the limit is %d "
                      "(max_parsed_bytes); try again "
                      "later",
                      taken(), bytes, limit));
}

bool MemoryBudget::TakeMore(uint64_t bytes, Hold& hold) {
  if (taken_.fetch_add(bytes) + bytes > limit()) {
    taken_.fetch_sub(bytes);
    return false;
  }
  hold.budget_ = this;
  hold.bytes_ += bytes;
  return true;
}

}  // namespace bebr
