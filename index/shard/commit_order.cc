#include "index/shard/commit_order.h"

namespace bebr {

size_t CommitOrder::running() const {
  MutexLock lock(&mutex_);
  return static_cast<size_t>(begun_ - left_.back());
}

bool CommitOrder::HasLeft(CommitStep step) const {
  MutexLock lock(&mutex_);
  return left_[static_cast<size_t>(step)] == begun_;
}

CommitTurn::CommitTurn(CommitOrder* order) : order_(*order) {
  MutexLock lock(&order_.mutex_);
  number_ = order_.begun_++;
}

CommitTurn::~CommitTurn() { LeaveUntil(kCommitSteps); }

void CommitTurn::Begin(CommitStep step) { LeaveUntil(static_cast<size_t>(step)); }

void CommitTurn::LeaveUntil(size_t step) {
  for (; step_ < step; ++step_) {
    {
      MutexLock lock(&order_.mutex_);
      while (step_ + 1 < kCommitSteps && order_.left_[step_ + 1] != number_) order_.left_one_.Wait(&order_.mutex_);
      order_.left_[step_] = number_ + 1;
      order_.left_one_.NotifyAll();
    }
    order_.moved_();
  }
}

}  // namespace bebr
