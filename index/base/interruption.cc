#include "index/base/interruption.h"

namespace bebr {

absl::Status Interrupted(SteadyTime deadline, const std::atomic<bool>* cancelled, SteadyTime now) {
  if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed))
    return absl::CancelledError("the call was cancelled by the caller");
  if (now >= deadline) return absl::DeadlineExceededError("the deadline passed before the call was done");
  return absl::OkStatus();
}

}  // namespace bebr
