#include "index/collection/write_queue.h"

#include <algorithm>
#include <string>

namespace bebr {

void WriteQueue::Enqueue(std::shared_ptr<Write> write) {
  MutexLock lock(&mutex_);
  order_.push_back(std::move(write));
}

void WriteQueue::MarkReady(const std::shared_ptr<Write>& write) {
  MutexLock lock(&mutex_);
  write->ready_ = true;
  while (!order_.empty() && order_.front()->ready_) {
    order_.front()->Submit(order_.front(), shards_);
    order_.pop_front();
  }
}

void WriteQueue::Write::Submit(const std::shared_ptr<Write>& self, const std::vector<std::shared_ptr<Shard>>& shards) {
  {
    MutexLock lock(&mutex_);
    pending_ = static_cast<size_t>(
        std::count_if(by_shard_.begin(), by_shard_.end(), [](const auto& list) { return !list.empty(); }));
  }
  for (size_t s = 0; s < shards.size(); ++s) {
    if (by_shard_[s].empty()) continue;
    shards[s]->Submit({std::move(by_shard_[s]), owner_,
                       [self](absl::StatusOr<MutationResult> result) { self->ShardDone(std::move(result)); }});
  }
}

void WriteQueue::Write::ShardDone(absl::StatusOr<MutationResult> result) {
  absl::StatusOr<MutationResult> outcome;
  {
    MutexLock lock(&mutex_);
    if (result.ok()) {
      result_.documents += result->documents;
      result_.created += result->created;
      for (std::string& id : result->unknown_ids) result_.unknown_ids.push_back(std::move(id));
    } else {
      status_.Update(result.status());
    }
    if (--pending_ > 0) return;
    outcome = status_.ok() ? absl::StatusOr<MutationResult>(std::move(result_)) : status_;
  }
  done_(std::move(outcome));
}

}  // namespace bebr
