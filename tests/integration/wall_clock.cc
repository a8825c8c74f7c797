// Preloaded into a server it makes a wrong clock: the time of day is ahead by the seconds (behind, where negative) that
// the file WALL_CLOCK_AHEAD says; while there is no such file it is right.
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

extern "C" int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, time);
  static const char* const name = std::getenv("WALL_CLOCK_AHEAD");
  const int file = clock == CLOCK_REALTIME && name != nullptr ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return static_cast<int>(result);
  char seconds[24] = {};
  if (read(file, seconds, sizeof(seconds) - 1) > 0) time->tv_sec += std::strtol(seconds, nullptr, 10);
  close(file);
  return static_cast<int>(result);
}
