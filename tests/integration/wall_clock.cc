// Preloaded into a server it makes a wrong clock: the time of day is ahead by the seconds (behind, where negative) that
// the file WALL_CLOCK_AHEAD says; while there is no such file it is right. Waits until a time of day, which Abseil
// leaves to the system, go by that clock too.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdlib>

namespace {

long SecondsAhead() {
  const char* const name = std::getenv("WALL_CLOCK_AHEAD");
  const int file = name == nullptr ? -1 : open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char seconds[24] = {};
  const bool said = read(file, seconds, sizeof(seconds) - 1) > 0;
  close(file);
  return said ? std::strtol(seconds, nullptr, 10) : 0;
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += SecondsAhead();
  return static_cast<int>(result);
}

extern "C" int gettimeofday(struct timeval* __restrict time, void* __restrict) noexcept {
  timespec now;
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return result;
}

// Abseil's waits.
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
  timespec until{};
  const auto* wanted = reinterpret_cast<const timespec*>(given[3]);
  if (number == SYS_futex && (given[1] & FUTEX_CLOCK_REALTIME) != 0 && wanted != nullptr) {
    until = *wanted;
    until.tv_sec -= SecondsAhead();
    given[3] = reinterpret_cast<long>(&until);
  }
  return real(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}

// The waits of RocksDB and of the C++ library.
extern "C" int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                                      const struct timespec* wanted) {
  using Call = int (*)(pthread_cond_t*, pthread_mutex_t*, const struct timespec*);
  const Call real = reinterpret_cast<Call>(dlsym(RTLD_NEXT, "pthread_cond_timedwait"));
  timespec until = *wanted;
  until.tv_sec -= SecondsAhead();
  return real(condition, mutex, &until);
}
