// The order of commits that overlap.
#ifndef BEBR_INDEX_SHARD_COMMIT_ORDER_H_
#define BEBR_INDEX_SHARD_COMMIT_ORDER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "index/base/mutex.h"

namespace bebr {

// What becomes of a commit, one after the other.
enum class CommitStep : uint8_t {
  kPrepare,  // decided what it does, and a batch made of it
  kLog,      // written to the log, and the log synced
  kStore,    // put into RocksDB's memory, and a view made of that
  kApply,    // the shards changed, and a view of them published
  kAnswer,   // its callers told
};
inline constexpr size_t kCommitSteps = 5;

// A CommitOrder has each commit go through the steps, several at a time, one at a step, and none overtakes another.
//
//   CommitOrder order([] { ... });
//   CommitTurn turn(&order);  // it is at kPrepare: the caller waits for HasLeft(kPrepare) first
//   ...
//   turn.Begin(CommitStep::kLog);  // returns when the commit before it has left that step
//
// Thread safety: all methods may be called from any thread; a CommitTurn belongs to one.
class CommitOrder {
 public:
  // `moved` is called, with no lock held, whenever a commit has left a step.
  explicit CommitOrder(std::function<void()> moved) : moved_(std::move(moved)) {}
  CommitOrder(const CommitOrder&) = delete;
  CommitOrder& operator=(const CommitOrder&) = delete;

  // Commits that have begun and not ended.
  size_t running() const;
  // Whether all that have begun have left this step.
  bool HasLeft(CommitStep step) const;

 private:
  friend class CommitTurn;

  const std::function<void()> moved_;
  mutable Mutex mutex_;
  CondVar left_one_;
  uint64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<uint64_t, kCommitSteps> left_ ABSL_GUARDED_BY(mutex_) = {};  // how many have left each step
};

// A commit's place in the order, from kPrepare on; it ends with the turn.
class CommitTurn {
 public:
  explicit CommitTurn(CommitOrder* order);
  ~CommitTurn();
  CommitTurn(const CommitTurn&) = delete;
  CommitTurn& operator=(const CommitTurn&) = delete;

  // Waits for its turn at the steps up to `step`, and leaves each when the next one begins: so a commit is not made
  // before the one before it is written, and takes all that comes until then. At it, or past it, already: does nothing.
  void Begin(CommitStep step);

 private:
  void LeaveUntil(size_t step);

  CommitOrder& order_;
  uint64_t number_;  // commits before it
  size_t step_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SHARD_COMMIT_ORDER_H_
