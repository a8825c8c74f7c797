#include "index/collection/write_queue.h"

#include <future>
#include <memory>
#include <utility>

namespace bebr {
namespace {

constexpr size_t kMaxGroupMutations = 16384;
// What the updates of a group may write, by what documents may have. One that may write more is a group of its own,
// and what it does write has a limit.
constexpr uint64_t kMaxGroupUpdatedBytes = uint64_t{64} << 20;

}  // namespace

uint64_t WriteQueue::Write::updated_bytes() const {
  uint64_t bytes = 0;
  for (const auto& list : mutations_.by_shard) {
    for (const Mutation& mutation : list) bytes += mutation.kind == MutationKind::kUpdate ? kMaxAttributesBytes : 0;
  }
  return bytes;
}

size_t WriteQueue::Write::size() const {
  size_t size = 0;
  for (const auto& list : mutations_.by_shard) size += list.size();
  return size;
}

WriteQueue::~WriteQueue() {
  MutexLock lock(&mutex_);
  while (running_) idle_.Wait(&mutex_);
}

void WriteQueue::Enqueue(std::shared_ptr<Write> write) {
  write->came_ = SteadyNow();
  MutexLock lock(&mutex_);
  order_.push_back(std::move(write));
}

void WriteQueue::MarkReady(const std::shared_ptr<Write>& write) {
  MutexLock lock(&mutex_);
  write->ready_ = true;
  if (has_work()) Wake();
}

absl::Status WriteQueue::RunAlone(absl::FunctionRef<absl::Status()> task) {
  auto outcome = std::make_shared<std::promise<absl::Status>>();  // shared: set_value may outlast get
  {
    MutexLock lock(&mutex_);
    tasks_.push_back([outcome, task] { outcome->set_value(task()); });
    Wake();
  }
  return outcome->get_future().get();
}

void WriteQueue::Wake() {
  if (running_) return;
  running_ = true;
  pool_.Submit([this] { RunOne(); });
}

WriteQueue::Group WriteQueue::TakeGroup() {
  Group group;
  uint64_t updated_bytes = 0;
  for (size_t count = 0; !order_.empty() && order_.front()->ready_ && count < kMaxGroupMutations;) {
    const bool alone = order_.front()->fill_ != nullptr;
    updated_bytes += order_.front()->updated_bytes();
    if (!group.empty() && (alone || updated_bytes > kMaxGroupUpdatedBytes)) break;
    count += order_.front()->size();
    group.push_back(std::move(order_.front()));
    order_.pop_front();
    if (alone) break;
  }
  return group;
}

void WriteQueue::RunOne() {
  std::function<void()> task;
  Group group;
  {
    MutexLock lock(&mutex_);
    if (tasks_.empty()) {
      group = TakeGroup();
    } else {
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
  }
  if (task != nullptr) task();
  if (!group.empty()) Commit(group);
  group.clear();
  MutexLock lock(&mutex_);
  // Behind what other collections wait for: one that is written to all the time takes no thread for itself.
  running_ = has_work();
  if (running_) {
    pool_.Submit([this] { RunOne(); });
  } else {
    idle_.NotifyAll();
  }
}

void WriteQueue::Commit(const Group& group) {
  const SteadyTime begun = SteadyNow();
  for (const auto& write : group) waits_.Add(begun - write->came_);
  if (group[0]->fill_ != nullptr) {
    if (absl::Status filled = group[0]->fill_(group[0]->mutations_); !filled.ok()) return group[0]->done_(filled);
  }
  std::vector<Mutations*> mutations;
  for (const auto& write : group) mutations.push_back(&write->mutations_);
  absl::StatusOr<std::vector<MutationResult>> results = shards_.Commit(mutations);
  const int64_t commit_us = MicrosSince(begun);
  for (size_t i = 0; i < group.size(); ++i) {
    if (results.ok()) (*results)[i].timings = {absl::ToInt64Microseconds(begun - group[i]->came_), commit_us};
    if (!results.ok()) {
      group[i]->done_(results.status());
    } else if (absl::Status refused = (*results)[i].refused; !refused.ok()) {
      group[i]->done_(refused);
    } else {
      group[i]->done_(std::move((*results)[i]));
    }
  }
}

}  // namespace bebr
