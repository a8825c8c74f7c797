#include "index/base/fair_pool.h"

#include <algorithm>

#include "index/base/clock.h"

namespace bebr {
namespace {

constexpr absl::Duration kGiveWayEvery = absl::Microseconds(50);  // at most: each time costs a call of the kernel
constexpr absl::Duration kLongAway = absl::Milliseconds(1);       // who waited computes, rather than answers a call
constexpr int kKeepAfter = 16;                                    // times as long, then

// Offers the thread's processor to others.
void GiveWay() {
  thread_local SteadyTime next;
  const SteadyTime now = SteadyNow();
  if (now < next) return;
  std::this_thread::yield();
  const SteadyTime back = SteadyNow();
  const absl::Duration away = back - now;
  next = back + (away > kLongAway ? kKeepAfter * away : kGiveWayEvery);
}

}  // namespace

FairPool::FairPool(size_t threads, Manners manners) : manners_(manners) {
  threads_.reserve(threads);
  for (size_t slot = 0; slot < threads; ++slot) threads_.emplace_back([this, slot] { Run(slot); });
}

FairPool::~FairPool() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

FairPool::Loop* FairPool::Neediest() const {
  Loop* neediest = nullptr;
  for (Loop* loop : loops_) {
    if (loop->open() && (neediest == nullptr || loop->helpers < neediest->helpers)) neediest = loop;
  }
  return neediest;
}

template <typename On>
void FairPool::MakePasses(Loop& loop, size_t slot, const On& on) {
  do {
    const size_t i = loop.next.fetch_add(1, std::memory_order_relaxed);
    if (i >= loop.count) return;
    loop.body(i, slot);
    if (manners_ == Manners::kGiveWay) GiveWay();
  } while (on());
}

void FairPool::Run(size_t slot) {
  mutex_.Lock();
  for (;;) {
    Loop* const loop = Neediest();
    if (loop == nullptr) {
      if (stopping_) break;
      ++idle_;
      wake_.Wait(&mutex_);
      --idle_;
      continue;
    }
    ++loop->helpers;
    const size_t seen = added_.load(std::memory_order_relaxed);
    mutex_.Unlock();
    MakePasses(*loop, slot, [&] { return added_.load(std::memory_order_relaxed) == seen; });
    mutex_.Lock();
    // The caller returns once it has the mutex, so the loop is not touched after this.
    if (--loop->helpers == 0) left_.NotifyAll();
  }
  mutex_.Unlock();
}

void FairPool::ParallelFor(size_t count, const std::function<void(size_t, size_t)>& body) {
  const size_t slot = slots() - 1;
  if (count <= 1 || slot == 0) {
    for (size_t i = 0; i < count; ++i) body(i, slot);
    return;
  }
  Loop loop{body, count};
  size_t helpers;
  {
    MutexLock lock(&mutex_);
    loops_.push_back(&loop);
    added_.fetch_add(1, std::memory_order_relaxed);
    helpers = std::min(idle_, count - 1);
  }
  for (size_t i = 0; i < helpers; ++i) wake_.NotifyOne();
  MakePasses(loop, slot, [] { return true; });
  MutexLock lock(&mutex_);
  std::erase(loops_, &loop);
  while (loop.helpers > 0) left_.Wait(&mutex_);
}

}  // namespace bebr
