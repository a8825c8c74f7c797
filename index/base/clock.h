// The clock for waiting and for measuring. absl::Now() is for timestamps alone: it jumps when somebody sets the clock.
#ifndef BEBR_INDEX_BASE_CLOCK_H_
#define BEBR_INDEX_BASE_CLOCK_H_

#include <chrono>
#include <cstdint>

#include "absl/time/time.h"

namespace bebr {

// A moment: the time since an arbitrary start, which only grows, at the rate of real time. A type that does not mix
// with absl::Time, the wall clock's. absl::InfiniteDuration() is a moment that never comes.
using SteadyTime = absl::Duration;

inline SteadyTime SteadyNow() { return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()); }

inline int64_t MicrosSince(SteadyTime start) { return absl::ToInt64Microseconds(SteadyNow() - start); }

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_CLOCK_H_
