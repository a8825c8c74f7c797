#include "server/net/steady_waits.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>

namespace {

constexpr long kNanos = 1'000'000'000;

// The moment of the clock that nobody sets which is as far from now as `wanted` is by the time of day.
timespec Steady(const timespec& wanted) {
  timespec day, steady;
  clock_gettime(CLOCK_REALTIME, &day);
  clock_gettime(CLOCK_MONOTONIC, &steady);
  timespec until{.tv_sec = steady.tv_sec + wanted.tv_sec - day.tv_sec,
                 .tv_nsec = steady.tv_nsec + wanted.tv_nsec - day.tv_nsec};
  for (; until.tv_nsec < 0; until.tv_nsec += kNanos) --until.tv_sec;
  for (; until.tv_nsec >= kNanos; until.tv_nsec -= kNanos) ++until.tv_sec;
  if (until.tv_sec < 0) until = {};  // long past
  return until;
}

}  // namespace

// The C library's, which the dynamic linker finds here first, for who calls it from another library. Abseil has no
// other way to be told: its waits are its own system calls (absl/synchronization/internal/futex.h), and end at a time
// of day.
extern "C" long syscall(long number, ...) noexcept {
  // A static's initialization would wait for another thread's by this very function.
  using Call = long (*)(long, ...);
  static std::atomic<Call> known{nullptr};
  Call real = known.load(std::memory_order_acquire);
  if (real == nullptr) {
    real = reinterpret_cast<Call>(dlsym(RTLD_NEXT, "syscall"));
    known.store(real, std::memory_order_release);
  }
  va_list list;
  va_start(list, number);
  long given[6];
  for (long& argument : given) argument = va_arg(list, long);
  va_end(list);
  const auto* wanted = reinterpret_cast<const timespec*>(given[3]);
  timespec until;
  constexpr int kUntilTimeOfDay = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
  if (number == SYS_futex && static_cast<int>(given[1]) == kUntilTimeOfDay && wanted != nullptr) {
    until = Steady(*wanted);
    given[1] = kUntilTimeOfDay & ~FUTEX_CLOCK_REALTIME;
    given[3] = reinterpret_cast<long>(&until);
  }
  return real(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}

namespace bebr {

bool KeepWaitsSteady() {
  void* const called = dlsym(RTLD_DEFAULT, "syscall");
  return called != nullptr && called == reinterpret_cast<void*>(&syscall);
}

}  // namespace bebr
