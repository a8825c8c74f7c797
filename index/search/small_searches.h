// Searches that read little.
#ifndef BEBR_INDEX_SEARCH_SMALL_SEARCHES_H_
#define BEBR_INDEX_SEARCH_SMALL_SEARCHES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "index/base/mutex.h"
#include "index/base/thread_pool.h"
#include "index/search/search_job.h"

namespace bebr {

// What is little: of a collection that is read whole its rows, and of a filter the rows that it leaves, each of which
// has a block of its own; both times the queries. And of a model what stays in a processor's caches, so that one query
// is encoded alone in about the time that it takes among others.
struct SmallLimits {
  uint64_t rows = 16384;
  uint64_t picked = 1024;
  size_t model_bytes = 512 << 10;
  // Those of a Scheduler that is told none; tests change them before it is there.
  static SmallLimits& Standard();
};

// SmallSearches runs searches that cost less than to hand them from thread to thread: of small collections, and those
// whose filter leaves few rows, as of one tenant. They wait for no scan. The thread that comes with one runs it. Only
// where the model is large, and as many threads as there are processors run some already, it leaves it to those: then
// they run it with all others that wait and see the same rows, as many queries are encoded in less time than one by
// one.
//
// Thread safety: all methods may be called from any thread. Liveness: whoever stops running has seen, under the lock,
// that nothing waits. AwaitCallers is called before `pool` ends; what it has to run then uses this until it has ended.
class SmallSearches {
 public:
  using Group = std::vector<std::unique_ptr<SearchJob>>;
  // `run` answers a group, on any thread; `pool` goes on where callers leave off.
  SmallSearches(SmallLimits limits, size_t most_runners, ThreadPool& pool, std::function<void(Group)> run);

  // Whether a search reads little, and has a filter that costs little. Looks up the rows that this leaves, and puts
  // them and their target into the job if so. Cost: some microseconds a segment, and the target of a new view; no index
  // is built for it.
  bool IsSmall(SearchJob& job);
  void Run(std::unique_ptr<SearchJob> job);
  size_t queued_queries() const;
  void AwaitCallers();

 private:
  using View = std::shared_ptr<const CollectionView>;

  // The target of a view, one for all searches of the same time.
  std::shared_ptr<const ScanTarget> TargetOf(const View& view, uint32_t space);
  Group Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Runs one group of those that wait, and goes on on the pool.
  void GoOn();

  const SmallLimits limits_;
  const size_t most_runners_;
  ThreadPool& pool_;
  const std::function<void(Group)> run_;
  mutable Mutex mutex_;
  CondVar left_;  // the last caller
  std::deque<std::unique_ptr<SearchJob>> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t queued_queries_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t runners_ ABSL_GUARDED_BY(mutex_) = 0;  // of groups that waited
  size_t callers_ ABSL_GUARDED_BY(mutex_) = 0;  // of Run that run a group
  Mutex targets_mutex_;
  std::map<std::pair<const CollectionView*, uint32_t>, std::weak_ptr<const ScanTarget>> targets_
      ABSL_GUARDED_BY(targets_mutex_);
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SMALL_SEARCHES_H_
