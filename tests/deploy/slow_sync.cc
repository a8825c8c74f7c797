// Preloaded into a server it makes a slow disk: every sync takes SLOW_SYNC_MS longer; where SLOW_SYNC_WHILE
// is set, only while there is a file of that name.
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

namespace {

void Wait() {
  const char* ms = std::getenv("SLOW_SYNC_MS");
  const char* file = std::getenv("SLOW_SYNC_WHILE");
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms == nullptr ? 0 : std::atoi(ms));
  while (std::chrono::steady_clock::now() < end && (file == nullptr || access(file, F_OK) == 0))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

}  // namespace

extern "C" int fdatasync(int fd) {
  Wait();
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

extern "C" int fsync(int fd) {
  Wait();
  return static_cast<int>(syscall(SYS_fsync, fd));
}
