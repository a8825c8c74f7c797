#include "server/call/memory_budget.h"

#include "absl/strings/str_format.h"
#include "index/base/retry.h"

namespace bebr {

absl::StatusOr<MemoryBudget::Hold> MemoryBudget::Take(uint64_t bytes) {
  const uint64_t limit = limit_.load(std::memory_order_relaxed);
  if (bytes > limit) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the request takes up to %d bytes of memory and all requests together may take %d (max_parsed_bytes); send it "
        "in parts",
        bytes, limit));
  }
  const uint64_t before = taken_.fetch_add(bytes);
  if (before + bytes <= limit) return Hold(this, bytes);
  taken_.fetch_sub(bytes);
  return TryAgainLater(
      absl::StrFormat("the requests in progress take %d bytes of memory, this one %d, and the limit is %d "
                      "(max_parsed_bytes); try again "
                      "later",
                      before, bytes, limit));
}

}  // namespace bebr
