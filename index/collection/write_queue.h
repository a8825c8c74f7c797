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
#include "index/shard/commit_order.h"
#include "index/shard/mutation.h"
#include "index/shard/shard_set.h"

namespace bebr {

// The WriteQueue of a collection commits its writes in the order in which they came, although they are encoded in
// parallel and so get ready in any order. What waits while a commit is under way is one group for the next: one batch
// and one sync of the log (group commit). Where much waits and the ShardSet allows it, commits overlap (CommitOrder);
// callers hear in the order of their calls.
//
// It takes a thread of a shared pool for each commit that is under way. No lock is held during a commit.
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
    // Whether all its mutations are plain, and known.
    bool plain() const;

    Mutations mutations_;
    absl::AnyInvocable<absl::Status(Mutations&)> fill_;
    absl::AnyInvocable<void(absl::StatusOr<MutationResult>)> done_;
    SteadyTime came_;
    // Guarded by the queue's mutex; what follows is known from then on.
    bool ready_ = false;
    bool plain_ = false;
    size_t size_ = 0;
  };

  WriteQueue(ShardSet* shards, ThreadPool* pool, DurationCounter* waits)
      : shards_(*shards), pool_(*pool), waits_(*waits), commits_([this] { Moved(); }) {}
  ~WriteQueue();

  // Gives a write its place.
  void Enqueue(std::shared_ptr<Write> write);
  // Every write that is ready and has none before it that is not will be committed.
  void MarkReady(const std::shared_ptr<Write>& write);
  // Runs `task` while nothing is being committed, and waits for it.
  absl::Status RunAlone(absl::FunctionRef<absl::Status()> task);

 private:
  using Group = std::vector<std::shared_ptr<Write>>;

  // Has a thread begin what may begin now, if there is something and none is about to.
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A commit has left a step.
  void Moved();
  // Whether the next task, or group, may begin, given those under way.
  bool MayBegin() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether as many plain mutations are ready, in turn, as are worth a commit that overlaps others.
  bool MuchIsReady() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Runs the next task, or commits the next group.
  void RunOne();
  Group TakeGroup() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Commit(const Group& group, CommitTurn& turn);

  ShardSet& shards_;
  ThreadPool& pool_;
  DurationCounter& waits_;
  Mutex mutex_;
  CondVar idle_;  // threads_ is 0
  CommitOrder commits_;
  std::deque<std::shared_ptr<Write>> order_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  size_t threads_ ABSL_GUARDED_BY(mutex_) = 0;      // of the pool that work for this queue, or are about to
  bool beginning_ ABSL_GUARDED_BY(mutex_) = false;  // one of them has not taken anything yet
  bool alone_ ABSL_GUARDED_BY(mutex_) = false;      // of what is under way, if anything: nothing may overlap it
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_WRITE_QUEUE_H_
