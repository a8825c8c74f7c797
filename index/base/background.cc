#include "index/base/background.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace bebr {

// On Linux the priority is the thread's own, though POSIX gives it to the process. A tenth of what a request has: with
// the least, a seventieth, what is learned on a busy machine would take hours.
void YieldToOthers() { setpriority(PRIO_PROCESS, 0, 10); }

void RunInBackground(size_t threads, size_t count, const std::function<void(size_t)>& body) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> workers;
  for (size_t i = 0; i < std::min(threads, count); ++i) {
    workers.emplace_back([&] {
      YieldToOthers();
      for (size_t mine; (mine = next.fetch_add(1)) < count;) body(mine);
    });
  }
  for (std::thread& worker : workers) worker.join();
}

}  // namespace bebr
