#include "index/base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <memory>

namespace bebr {

ThreadPool::ThreadPool(size_t threads) {
  threads_.reserve(threads);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Submit(absl::AnyInvocable<void()> task) {
  {
    MutexLock lock(&mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.NotifyOne();
}

void ThreadPool::Run() {
  for (;;) {
    absl::AnyInvocable<void()> task;
    {
      MutexLock lock(&mutex_);
      while (!stopping_ && tasks_.empty()) wake_.Wait(&mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

void ThreadPool::ParallelFor(size_t count, const std::function<void(size_t)>& body) {
  if (count == 0) return;
  if (count == 1 || threads_.empty()) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  // The helpers may start after the caller has done all the work and returned, so they share ownership of the state;
  // they touch `body` only after they have taken an index, and the caller stays until every taken index is done.
  struct State {
    std::atomic<size_t> next{0};
    Mutex mutex;
    CondVar all_done;
    size_t done ABSL_GUARDED_BY(mutex) = 0;
  };
  auto state = std::make_shared<State>();
  const auto* body_ptr = &body;
  const auto work = [state, count, body_ptr] {
    size_t mine = 0;
    for (size_t i; (i = state->next.fetch_add(1, std::memory_order_relaxed)) < count; ++mine) (*body_ptr)(i);
    if (mine > 0) {
      MutexLock lock(&state->mutex);
      state->done += mine;
      if (state->done == count) state->all_done.NotifyAll();
    }
  };
  const size_t helpers = std::min(threads_.size(), count - 1);
  for (size_t i = 0; i < helpers; ++i) Submit(work);
  work();
  MutexLock lock(&state->mutex);
  while (state->done != count) state->all_done.Wait(&state->mutex);
}

size_t AvailableProcessors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return std::max(1u, std::thread::hardware_concurrency());
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace bebr
