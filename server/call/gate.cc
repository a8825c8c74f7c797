#include "server/call/gate.h"

#include <algorithm>

#include "index/base/clock.h"

namespace bebr {

Gate::Pass::~Pass() {
  if (gate_ == nullptr) return;
  MutexLock lock(&gate_->mutex_);
  if (--gate_->inside_ == 0) gate_->empty_.NotifyAll();
}

Gate::Pass Gate::Enter() {
  MutexLock lock(&mutex_);
  if (closed_) return Pass();
  ++inside_;
  return Pass(this);
}

void Gate::Close() {
  MutexLock lock(&mutex_);
  closed_ = true;
}

bool Gate::closed() const {
  MutexLock lock(&mutex_);
  return closed_;
}

bool Gate::AwaitEmpty(absl::Duration most) {
  const SteadyTime end = SteadyNow() + most;
  MutexLock lock(&mutex_);
  while (inside_ > 0) {
    const absl::Duration left = end - SteadyNow();
    if (left <= absl::ZeroDuration()) return false;
    empty_.WaitFor(&mutex_, std::min(left, absl::Hours(1)));
  }
  return true;
}

}  // namespace bebr
