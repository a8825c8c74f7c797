// Preloaded into a server it makes a slow disk: every sync takes SLOW_SYNC_MS longer; where SLOW_SYNC_WHILE
// is set, only while there is a file of that name, and where SLOW_SYNC_IN is, only of files with that in their paths.
// With FULL_DISK_IN it also makes a full one: a write to files with that in their paths fails while there is the file
// SLOW_SYNC_WHILE; with SLOW_WRITE_IN a write to files with that in their paths takes as long as a sync does.
// KILL_AT_SYNC ends the process at its sync of that number.
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace {

bool Exists(const char* file) { return access(file, F_OK) == 0; }

// Whether the path of an open file has the part in it.
bool IsIn(int fd, const char* part) {
  char link[40], path[PATH_MAX];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof(path) - 1);
  if (length <= 0) return false;
  path[length] = '\0';
  return std::strstr(path, part) != nullptr;
}

void KillInTime() {
  static const char* const last = std::getenv("KILL_AT_SYNC");
  static std::atomic<int> syncs{0};
  if (last != nullptr && ++syncs == std::atoi(last)) kill(getpid(), SIGKILL);
}

void Wait(int fd, const char* part) {
  const char* ms = std::getenv("SLOW_SYNC_MS");
  const char* file = std::getenv("SLOW_SYNC_WHILE");
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms == nullptr ? 0 : std::atoi(ms));
  while (std::chrono::steady_clock::now() < end && (file == nullptr || Exists(file)) &&
         (part == nullptr || IsIn(fd, part)))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

bool IsFull(int fd) {
  static const char* const part = std::getenv("FULL_DISK_IN");
  static const char* const file = std::getenv("SLOW_SYNC_WHILE");
  if (part == nullptr || file == nullptr || !Exists(file) || !IsIn(fd, part)) return false;
  errno = ENOSPC;
  return true;
}

}  // namespace

extern "C" int fdatasync(int fd) {
  KillInTime();
  Wait(fd, std::getenv("SLOW_SYNC_IN"));
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

extern "C" int fsync(int fd) {
  KillInTime();
  Wait(fd, std::getenv("SLOW_SYNC_IN"));
  return static_cast<int>(syscall(SYS_fsync, fd));
}

extern "C" ssize_t write(int fd, const void* bytes, size_t count) {
  static const char* const slow = std::getenv("SLOW_WRITE_IN");
  if (slow != nullptr) Wait(fd, slow);
  return IsFull(fd) ? -1 : syscall(SYS_write, fd, bytes, count);
}
