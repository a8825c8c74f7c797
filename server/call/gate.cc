#include "server/call/gate.h"

#include <algorithm>

#include "index/base/clock.h"

namespace bebr {

Gate::Pass::~Pass() {
  if (gate_ == nullptr) return;
  MutexLock lock(&gate_->mutex_);
  if (--count_->second == 0) gate_->inside_by_.erase(gate_->inside_by_.find(count_->first));
  if (--gate_->inside_ == 0) gate_->empty_.NotifyAll();
}

Gate::Pass Gate::Enter(std::string_view by) {
  MutexLock lock(&mutex_);
  if (closed_) {
    ++refused_;
    return Pass();
  }
  ++inside_;
  auto& count = *inside_by_.try_emplace(std::string(by)).first;
  ++count.second;
  return Pass(this, &count);
}

void Gate::Close() {
  MutexLock lock(&mutex_);
  closed_ = true;
}

bool Gate::closed() const {
  MutexLock lock(&mutex_);
  return closed_;
}

uint64_t Gate::refused() const {
  MutexLock lock(&mutex_);
  return refused_;
}

bool Gate::Inside(std::string_view by) const {
  MutexLock lock(&mutex_);
  return inside_by_.contains(std::string(by));
}

void Gate::Hurry() {
  MutexLock lock(&mutex_);
  hurried_ = true;
  empty_.NotifyAll();
}

bool Gate::hurried() const {
  MutexLock lock(&mutex_);
  return hurried_;
}

bool Gate::AwaitEmpty(absl::Duration most) {
  const SteadyTime end = SteadyNow() + most;
  MutexLock lock(&mutex_);
  while (inside_ > 0) {
    const absl::Duration left = end - SteadyNow();
    if (left <= absl::ZeroDuration() || hurried_) return false;
    empty_.WaitFor(&mutex_, std::min(left, absl::Hours(1)));
  }
  return true;
}

}  // namespace bebr
