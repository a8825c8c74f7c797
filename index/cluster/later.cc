#include "index/cluster/later.h"

#include <utility>

namespace bebr {

Later::Later() : thread_([this] { Run(); }) {}

Later::~Later() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void Later::After(absl::Duration delay, absl::AnyInvocable<void()> work) {
  MutexLock lock(&mutex_);
  work_.emplace(SteadyNow() + delay, std::move(work));
  changed_.NotifyAll();
}

void Later::Run() {
  for (;;) {
    absl::AnyInvocable<void()> work;
    {
      MutexLock lock(&mutex_);
      while (!ending_ && (work_.empty() || work_.begin()->first > SteadyNow())) {
        if (work_.empty()) {
          changed_.Wait(&mutex_);
        } else {
          changed_.WaitFor(&mutex_, work_.begin()->first - SteadyNow());
        }
      }
      if (work_.empty()) return;
      work = std::move(work_.begin()->second);
      work_.erase(work_.begin());
    }
    work();
  }
}

}  // namespace bebr
