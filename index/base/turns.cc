#include "index/base/turns.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "index/base/clock.h"

namespace bebr {
namespace {

constexpr uint64_t kTurnNs = 100000;  // the shortest one that the kernel grants

// Who had the processor for so long computes too. A thread that gives way to it all the time gets less than its share,
// and helps nobody who wakes for a moment, so it does not for a while.
constexpr absl::Duration kLong = absl::Milliseconds(1);
constexpr absl::Duration kWhile = absl::Milliseconds(20);

// As the kernel has it; the C library has neither the type nor the calls.
struct Attributes {
  uint32_t size = sizeof(Attributes);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;  // of a turn
  uint64_t deadline = 0;
  uint64_t period = 0;
};

thread_local bool short_turns = false;
thread_local SteadyTime stays_until = -absl::InfiniteDuration();

bool Read(Attributes& attributes) { return syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) == 0; }

}  // namespace

void TakeShortTurns() {
  Attributes attributes;
  if (!Read(attributes) || attributes.policy != SCHED_OTHER) return;
  attributes.runtime = kTurnNs;
  if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) return;
  // Older kernels take the length and forget it.
  short_turns = Read(attributes) && attributes.runtime == kTurnNs;
}

void GiveWay() {
  if (!short_turns) return;
  const SteadyTime before = SteadyNow();
  if (before < stays_until) return;
  sched_yield();
  const SteadyTime after = SteadyNow();
  if (after - before > kLong) stays_until = after + kWhile;
}

}  // namespace bebr
