// Threads for calls that wait for the disk.
#ifndef BEBR_SERVER_CALL_BLOCKING_POOL_H_
#define BEBR_SERVER_CALL_BLOCKING_POOL_H_

#include <atomic>
#include <cstddef>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "index/base/thread_pool.h"

namespace bebr {

// Runs what blocks (disk reads, collections) away from gRPC's threads. Thread safety: all methods may be called from
// any thread.
class BlockingPool {
 public:
  explicit BlockingPool(size_t threads) : pool_(threads) {}
  // RESOURCE_EXHAUSTED if too many tasks wait.
  absl::Status TrySubmit(absl::AnyInvocable<void()> task);

 private:
  static constexpr size_t kMaxWaiting = 1024;
  std::atomic<size_t> waiting_{0};
  ThreadPool pool_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_BLOCKING_POOL_H_
