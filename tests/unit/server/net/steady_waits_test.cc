// The time of day of this program is not the system's, as when somebody has set the clock since a wait began.
#include "server/net/steady_waits.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace {

std::atomic<int64_t> seconds_ahead{0};

}  // namespace

extern "C" int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += seconds_ahead;
  return static_cast<int>(result);
}

extern "C" int gettimeofday(struct timeval* __restrict time, void* __restrict) noexcept {
  timespec now;
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  *time = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return result;
}

namespace bebr {
namespace {

// Seconds that a wait of 50 ms takes.
double Waits() {
  absl::Mutex mutex;
  absl::CondVar nobody;
  timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  absl::MutexLock lock(&mutex);
  EXPECT_TRUE(nobody.WaitWithTimeout(&mutex, absl::Milliseconds(50)));
  clock_gettime(CLOCK_MONOTONIC, &end);
  return static_cast<double>(end.tv_sec - begin.tv_sec) + static_cast<double>(end.tv_nsec - begin.tv_nsec) * 1e-9;
}

// The first test, since it is about the first call.
TEST(SteadyWaits, AreFirstAskedForByManyThreadsAtOnce) {
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 32; ++i) {
    threads.emplace_back([&ready] {
      for (++ready; ready < 32;) continue;
      EXPECT_GT(syscall(SYS_gettid), 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(SteadyWaits, LastAsLongWhateverTheClockSays) {
  ASSERT_TRUE(KeepWaitsSteady());
  for (const int64_t ahead : {0, 3600, -3600, 400 * 86400}) {  // with the system's clock: at once, or in an hour
    seconds_ahead = ahead;
    EXPECT_GE(Waits(), 0.049) << ahead;
  }
}

TEST(SteadyWaits, OfThePastAreNone) {
  absl::Mutex mutex;
  absl::CondVar nobody;
  absl::MutexLock lock(&mutex);
  EXPECT_TRUE(nobody.WaitWithDeadline(&mutex, absl::UnixEpoch()));
  EXPECT_TRUE(nobody.WaitWithDeadline(&mutex, absl::InfinitePast()));
}

}  // namespace
}  // namespace bebr
