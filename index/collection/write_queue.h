// The second half of a write: to the shards, in order.
#ifndef BEBR_INDEX_COLLECTION_WRITE_QUEUE_H_
#define BEBR_INDEX_COLLECTION_WRITE_QUEUE_H_

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/shard/mutation.h"
#include "index/shard/shard.h"

namespace bebr {

// The WriteQueue of a collection hands its writes to the shards in the order in which they came, although they are
// encoded in parallel and so get ready in any order.
//
// Ownership: the shards are borrowed and outlive it. Thread safety: all methods may be called from any thread.
class WriteQueue {
 public:
  // A write in turn: its mutations by shard, filled before it is ready.
  class Write {
   public:
    // `owner` keeps alive what the mutations borrow. `done` runs once, on a shard's own thread, which the last holder
    // of the collection must not be: so it must not hold the collection.
    Write(size_t shards, std::shared_ptr<const void> owner,
          absl::AnyInvocable<void(absl::StatusOr<MutationResult>)> done)
        : by_shard_(shards), owner_(std::move(owner)), done_(std::move(done)) {}

    Mutation& Add(size_t shard) { return by_shard_[shard].emplace_back(); }
    void Add(size_t shard, Mutation mutation) { by_shard_[shard].push_back(std::move(mutation)); }

   private:
    friend class WriteQueue;
    void Submit(const std::shared_ptr<Write>& self, const std::vector<std::shared_ptr<Shard>>& shards);
    void ShardDone(absl::StatusOr<MutationResult> result);

    std::vector<std::vector<Mutation>> by_shard_;
    const std::shared_ptr<const void> owner_;
    absl::AnyInvocable<void(absl::StatusOr<MutationResult>)> done_;
    bool ready_ = false;  // guarded by the queue's mutex

    Mutex mutex_;
    size_t pending_ ABSL_GUARDED_BY(mutex_) = 0;
    absl::Status status_ ABSL_GUARDED_BY(mutex_);
    MutationResult result_ ABSL_GUARDED_BY(mutex_);
  };

  explicit WriteQueue(const std::vector<std::shared_ptr<Shard>>* shards) : shards_(*shards) {}

  // Gives a write its place.
  void Enqueue(std::shared_ptr<Write> write);
  // Hands to the shards every write that is ready and has none before it that is not.
  void MarkReady(const std::shared_ptr<Write>& write);

 private:
  const std::vector<std::shared_ptr<Shard>>& shards_;
  Mutex mutex_;
  std::deque<std::shared_ptr<Write>> order_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_WRITE_QUEUE_H_
