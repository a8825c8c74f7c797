// The second half of a write: to the shards, in order.
#ifndef BEBR_INDEX_COLLECTION_WRITE_QUEUE_H_
#define BEBR_INDEX_COLLECTION_WRITE_QUEUE_H_

#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/base/thread_pool.h"
#include "index/shard/commit_counters.h"
#include "index/shard/mutation.h"
#include "index/shard/shard_set.h"

namespace bebr {

// The WriteQueue of a collection commits its writes in the order in which they came, although they are encoded in
// parallel and so get ready in any order. What waits while a commit is under way is one group for the next: one batch
// and one sync of the log (group commit).
//
// It takes a thread of a shared pool for as long as there is something to commit, one at a time, so the ShardSet has
// one writer. No lock is held during a commit.
//
// Ownership: shards, pool and `waits`, which counts how long writes waited, are borrowed and outlive it. Thread safety:
// all methods may be called from any thread but the pool's. The destructor commits what is ready.
class WriteQueue {
 public:
  // A write in turn: its mutations, filled before it is ready.
  class Write {
   public:
    // `done` runs once, on a thread of the pool, which the last holder of the collection must not be: so it must not
    // hold the collection. It must not block.
    Write(size_t shards, std::shared_ptr<const void> owner,
          absl::AnyInvocable<void(absl::StatusOr<MutationResult>)> done)
        : mutations_(shards), done_(std::move(done)) {
      mutations_.owner = std::move(owner);
    }

    Mutation& Add(size_t shard) { return mutations_.by_shard[shard].emplace_back(); }
    void Add(size_t shard, Mutation mutation) { mutations_.by_shard[shard].push_back(std::move(mutation)); }
    // Leaves the filling to its turn: then `fill` finds all writes before it committed and none after it. It is
    // committed alone; an error is its outcome, and nothing is written.
    void FillInTurn(absl::AnyInvocable<absl::Status(Mutations&)> fill) { fill_ = std::move(fill); }

   private:
    friend class WriteQueue;
    size_t size() const;
    // Of attributes, that its updates may write: what is sent with an upsert is in memory, and bounded, already.
    uint64_t updated_bytes() const;

    Mutations mutations_;
    absl::AnyInvocable<absl::Status(Mutations&)> fill_;
    absl::AnyInvocable<void(absl::StatusOr<MutationResult>)> done_;
    SteadyTime came_;
    bool ready_ = false;  // guarded by the queue's mutex
  };

  WriteQueue(ShardSet* shards, ThreadPool* pool, DurationCounter* waits)
      : shards_(*shards), pool_(*pool), waits_(*waits) {}
  ~WriteQueue();

  // Gives a write its place.
  void Enqueue(std::shared_ptr<Write> write);
  // Every write that is ready and has none before it that is not will be committed.
  void MarkReady(const std::shared_ptr<Write>& write);
  // Runs `task` while nothing is being committed, and waits for it.
  absl::Status RunAlone(absl::FunctionRef<absl::Status()> task);

 private:
  using Group = std::vector<std::shared_ptr<Write>>;

  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool has_work() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !tasks_.empty() || (!order_.empty() && order_.front()->ready_);
  }
  // Runs the next task, or commits the next group.
  void RunOne();
  Group TakeGroup() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Commit(const Group& group);

  ShardSet& shards_;
  ThreadPool& pool_;
  DurationCounter& waits_;
  Mutex mutex_;
  CondVar idle_;  // running_ is false
  std::deque<std::shared_ptr<Write>> order_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = false;  // a thread of the pool works for this queue, or is about to
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_WRITE_QUEUE_H_
