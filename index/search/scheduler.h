// Which searches are scanned together, and when.
#ifndef BEBR_INDEX_SEARCH_SCHEDULER_H_
#define BEBR_INDEX_SEARCH_SCHEDULER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/base/thread_pool.h"
#include "index/catalog/manifest.h"
#include "index/search/search_job.h"
#include "index/shard/shard_set.h"
#include "index/types/search.h"

namespace bebr {

// The Scheduler runs searches so that queries share scans: one thread takes the oldest waiting search and with it all
// others that ask the same version of the same collection, whatever their filters, encodes their queries together,
// scans the codes once for all of them, and hands each its result. Searches that arrive meanwhile form the next scan.
//
// Company. An idle server answers at once. After a scan, the next one waits for as many queries as are known to be
// about, those that came during the scan and those it has just answered, whose clients often have another one; at most
// a quarter of the time that the scan took, and no longer than a sixteenth of it after the last one came. Without that,
// clients that ask again at once would fall into two groups that scan in turn, each at half the size.
//
// Order. First come, first served among groups; a search is never overtaken by one of its own group.
// Limits. At most `max_queued_queries` queries wait; more are refused with RESOURCE_EXHAUSTED.
// Thread safety: all methods may be called from any thread. The destructor answers what waits with UNAVAILABLE.
class Scheduler {
 public:
  struct Counters {
    std::atomic<uint64_t> queries{0};
    std::atomic<uint64_t> scans{0};
    std::atomic<uint64_t> documents_scanned{0};
    std::atomic<uint64_t> bytes_scanned{0};
    std::atomic<uint64_t> refused_queries{0};
    std::atomic<uint64_t> scan_us{0};
  };

  Scheduler(size_t threads, size_t max_queued_queries);
  ~Scheduler();

  void Submit(std::unique_ptr<SearchJob> job);
  const Counters& counters() const { return counters_; }
  size_t queued_queries() const;

 private:
  void Run();
  void AwaitCompany() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<std::unique_ptr<SearchJob>> TakeGroup() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunGroup(std::vector<std::unique_ptr<SearchJob>> jobs);

  const size_t threads_;
  const size_t max_queued_queries_;
  Counters counters_;
  ThreadPool scan_pool_;    // helps the scheduler's own thread
  ThreadPool finish_pool_;  // rerank and results, beside the next scan

  mutable Mutex mutex_;
  CondVar wake_;  // a job came, or stopping_
  std::deque<std::unique_ptr<SearchJob>> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_queries_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  size_t expected_queries_ ABSL_GUARDED_BY(mutex_) = 0;  // that are about, as the last scan's end showed
  SteadyTime last_scan_end_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  absl::Duration last_scan_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCHEDULER_H_
