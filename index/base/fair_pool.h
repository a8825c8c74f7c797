// Threads that several callers share fairly.
#ifndef BEBR_INDEX_BASE_FAIR_POOL_H_
#define BEBR_INDEX_BASE_FAIR_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "index/base/mutex.h"

namespace bebr {

// A FairPool runs loops whose passes may run in any order. Every caller works on its own loop; the pool's threads
// spread evenly over all loops there are, and do so again whenever one is added, after the pass that each is at. So a
// short loop beside a long one takes a share of the threads at once, whatever came before it.
//
//   FairPool pool(3);
//   std::vector<Sum> sums(pool.slots());
//   pool.ParallelFor(1000, [&](size_t i, size_t slot) { sums[slot].Add(i); });
//
// Thread safety: ParallelFor may be called from any thread, also within a pass of another loop. The destructor waits
// for nothing: no loop may be running. Passes must not throw. Cost of a pass: an atomic addition. A loop wakes no more
// threads than it has passes for them.
//
// A loop keeps every processor busy for as long as it lasts, and what wakes up on one of them, such as a thread that
// has a call to read, waits until the kernel takes it from the loop: 3 to 5 ms where there are many processors. A pool
// that gives way offers it between passes to whoever waits for it; where that takes long, since others compute there,
// it does so less often, and keeps nearly all of its share.
class FairPool {
 public:
  enum class Manners : uint8_t { kKeep, kGiveWay };

  // `threads` beside the callers; 0 is allowed.
  explicit FairPool(size_t threads, Manners manners = Manners::kKeep);
  ~FairPool();
  FairPool(const FairPool&) = delete;
  FairPool& operator=(const FairPool&) = delete;

  // How many threads may be at a loop, its caller among them.
  size_t slots() const { return threads_.size() + 1; }
  // Calls body(i, slot) for i from 0 to count - 1, each once, and returns when all have returned. Of those that run at
  // the same time, each has another slot, below slots().
  void ParallelFor(size_t count, const std::function<void(size_t i, size_t slot)>& body);

 private:
  struct Loop {
    const std::function<void(size_t, size_t)>& body;
    const size_t count;
    std::atomic<size_t> next{0};
    size_t helpers = 0;  // threads of the pool that are at it; guarded by mutex_
    bool open() const { return next.load(std::memory_order_relaxed) < count; }
  };

  void Run(size_t slot);
  // Makes passes of a loop, in one slot, as long as `on` says so after one.
  template <typename On>
  void MakePasses(Loop& loop, size_t slot, const On& on);
  // The loop with passes left that has the fewest helpers; null if there is none.
  Loop* Neediest() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Manners manners_;
  Mutex mutex_;
  CondVar wake_;  // a loop came, or stopping_
  CondVar left_;  // the last helper left a loop
  std::vector<Loop*> loops_ ABSL_GUARDED_BY(mutex_);
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;  // threads that wait
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<size_t> added_{0};  // loops so far
  std::vector<std::thread> threads_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_FAIR_POOL_H_
