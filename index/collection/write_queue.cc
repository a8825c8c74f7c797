#include "index/collection/write_queue.h"

#include <algorithm>
#include <future>
#include <memory>
#include <optional>
#include <utility>

namespace bebr {
namespace {

constexpr size_t kMaxGroupMutations = 16384;
// So many mutations are a commit that begins before others end. Fewer wait, for more to share their sync.
constexpr size_t kWorthABatch = 256;
// At as many steps commits are that take long: made, written, put into memory, applied.
constexpr size_t kMostCommits = 4;
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

bool WriteQueue::Write::plain() const {
  if (fill_ != nullptr) return false;
  return std::all_of(mutations_.by_shard.begin(), mutations_.by_shard.end(),
                     [](const auto& list) { return std::all_of(list.begin(), list.end(), IsPlain); });
}

WriteQueue::~WriteQueue() {
  MutexLock lock(&mutex_);
  while (threads_ != 0) idle_.Wait(&mutex_);
}

void WriteQueue::Enqueue(std::shared_ptr<Write> write) {
  write->came_ = SteadyNow();
  MutexLock lock(&mutex_);
  order_.push_back(std::move(write));
}

void WriteQueue::MarkReady(const std::shared_ptr<Write>& write) {
  const bool plain = write->plain();
  const size_t size = write->size();
  MutexLock lock(&mutex_);
  write->plain_ = plain;
  write->size_ = size;
  write->ready_ = true;
  Wake();
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
  if (beginning_ || !MayBegin()) return;
  beginning_ = true;
  ++threads_;
  // Behind what other collections wait for: one that is written to all the time takes no thread for itself.
  pool_.Submit([this] { RunOne(); });
}

void WriteQueue::Moved() {
  MutexLock lock(&mutex_);
  Wake();
}

bool WriteQueue::MayBegin() const {
  const size_t running = commits_.running();
  if (!tasks_.empty()) return running == 0;
  if (order_.empty() || !order_.front()->ready_) return false;
  if (running == 0) return true;
  if (alone_ || running >= kMostCommits || !commits_.HasLeft(CommitStep::kPrepare)) return false;
  return order_.front()->plain_ && MuchIsReady();
}

bool WriteQueue::MuchIsReady() const {
  size_t size = 0;
  for (const auto& write : order_) {
    if (!write->ready_ || !write->plain_) return false;
    size += write->size_;
    if (size >= kWorthABatch) return true;
  }
  return false;
}

WriteQueue::Group WriteQueue::TakeGroup() {
  const bool overlaps = commits_.running() > 0;
  Group group;
  uint64_t updated_bytes = 0;
  for (size_t count = 0; !order_.empty() && order_.front()->ready_ && count < kMaxGroupMutations;) {
    const bool alone = order_.front()->fill_ != nullptr;
    updated_bytes += order_.front()->updated_bytes();
    if (!group.empty() && (alone || updated_bytes > kMaxGroupUpdatedBytes)) break;
    if (overlaps && !order_.front()->plain_) break;
    alone_ = alone_ || !order_.front()->plain_;
    count += order_.front()->size_;
    group.push_back(std::move(order_.front()));
    order_.pop_front();
    if (alone) break;
  }
  return group;
}

void WriteQueue::RunOne() {
  std::function<void()> task;
  Group group;
  std::optional<CommitTurn> turn;
  {
    MutexLock lock(&mutex_);
    beginning_ = false;
    if (MayBegin()) {  // a task may have come since
      // The shards are asked while nothing changes them; contents change only in tasks.
      if (commits_.running() == 0) alone_ = !tasks_.empty() || !shards_.ResolvesPlainAlone();
      if (tasks_.empty()) {
        group = TakeGroup();
      } else {
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      turn.emplace(&commits_);
    }
  }
  if (task != nullptr) task();
  if (!group.empty()) Commit(group, *turn);
  turn.reset();
  group.clear();
  MutexLock lock(&mutex_);
  Wake();
  if (--threads_ == 0) idle_.NotifyAll();
}

void WriteQueue::Commit(const Group& group, CommitTurn& turn) {
  const SteadyTime begun = SteadyNow();
  for (const auto& write : group) waits_.Add(begun - write->came_);
  if (group[0]->fill_ != nullptr) {
    if (absl::Status filled = group[0]->fill_(group[0]->mutations_); !filled.ok()) return group[0]->done_(filled);
  }
  std::vector<Mutations*> mutations;
  for (const auto& write : group) mutations.push_back(&write->mutations_);
  absl::StatusOr<std::vector<MutationResult>> results = shards_.Commit(mutations, turn);
  turn.Begin(CommitStep::kAnswer);
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
