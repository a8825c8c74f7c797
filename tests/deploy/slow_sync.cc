// Preloaded into a server it makes a slow disk: every sync takes BEBR_SLOW_SYNC_MS longer.
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

namespace {

void Wait() {
  const char* ms = std::getenv("BEBR_SLOW_SYNC_MS");
  std::this_thread::sleep_for(std::chrono::milliseconds(ms == nullptr ? 0 : std::atoi(ms)));
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
