// Work whose caller may lose interest in it.
#ifndef BEBR_INDEX_BASE_INTERRUPTION_H_
#define BEBR_INDEX_BASE_INTERRUPTION_H_

#include <atomic>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "index/base/clock.h"

namespace bebr {

// OK, or why work should not go on: CANCELLED or DEADLINE_EXCEEDED. `cancelled` may be null.
absl::Status Interrupted(SteadyTime deadline, const std::atomic<bool>* cancelled, SteadyTime now);

// Of a request that has `deadline` and `cancelled`.
template <typename Request>
absl::Status Interrupted(const Request& request, SteadyTime now) {
  return Interrupted(request.deadline, request.cancelled.get(), now);
}

// Asked now and then by work that takes long, which ends with what it answers if that is an error.
using Interrupter = absl::FunctionRef<absl::Status()>;

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_INTERRUPTION_H_
