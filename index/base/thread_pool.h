// A fixed number of threads that share work.
#ifndef BEBR_INDEX_BASE_THREAD_POOL_H_
#define BEBR_INDEX_BASE_THREAD_POOL_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "index/base/mutex.h"

namespace bebr {

// A ThreadPool runs tasks on a fixed number of threads, in the order of submission.
//
//   ThreadPool pool(4);
//   pool.Submit([] { ... });
//   pool.ParallelFor(100, [&](size_t i) { ... });   // returns when all 100 calls have returned
//
// Thread safety: all methods may be called from any thread; ParallelFor also from within a task, since the caller works
// along and so never waits for a thread that is not there. Tasks must not throw. The destructor runs what was
// submitted.
class ThreadPool {
 public:
  explicit ThreadPool(size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t size() const { return threads_.size(); }
  void Submit(absl::AnyInvocable<void()> task);
  // Calls body(0) .. body(count - 1), each once, on the pool's threads and the caller's.
  void ParallelFor(size_t count, const std::function<void(size_t)>& body);

 private:
  void Run();

  Mutex mutex_;
  CondVar wake_;  // a task came, or stopping_
  std::deque<absl::AnyInvocable<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

// The number of threads a setting of 0 stands for: the processors this process may use.
size_t AvailableProcessors();

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_THREAD_POOL_H_
