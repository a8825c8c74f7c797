#include "server/call/answer_memory.h"

#include "absl/strings/str_format.h"
#include "index/base/retry.h"

namespace bebr {

absl::Status AnswerMemory::Take(uint64_t bytes) {
  MutexLock lock(&mutex_);
  const uint64_t needed = hold_.bytes() + bytes, limit = budget_.limit();
  if (needed > limit / 2) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the answer takes %d bytes of memory or more while it is made; one may take %d, half of max_answer_bytes: "
        "ask for fewer results, or without attributes, embeddings and explanations",
        needed, limit / 2));
  }
  if (budget_.TakeMore(holder_, bytes, hold_)) return absl::OkStatus();
  return TryAgainLater(absl::StrFormat(
      "the answers that are being made for %s take %d bytes of memory, this one %d more, and its share is %d, half of "
      "what others leave of %d (max_answer_bytes); try again later",
      holder_, budget_.TakenBy(holder_), bytes, budget_.ShareOf(holder_), limit));
}

MemoryBudget::Hold AnswerMemory::Release() {
  MutexLock lock(&mutex_);
  return std::move(hold_);
}

}  // namespace bebr
