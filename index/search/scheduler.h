// Which searches are scanned together, and when.
#ifndef BEBR_INDEX_SEARCH_SCHEDULER_H_
#define BEBR_INDEX_SEARCH_SCHEDULER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "index/base/clock.h"
#include "index/base/fair_pool.h"
#include "index/base/mutex.h"
#include "index/base/thread_pool.h"
#include "index/catalog/manifest.h"
#include "index/search/search_batch.h"
#include "index/search/search_job.h"
#include "index/search/small_searches.h"

namespace bebr {

// The Scheduler runs searches so that queries share scans. Searches that ask the same version of the same collection,
// whatever their filters, form a lane. A driver, one of a few threads, takes a lane that has searches, the one that has
// waited longest, encodes the queries that wait in it together, scans the codes once for all of them, and leaves them
// to be finished by other threads. Searches that arrive meanwhile form the lane's next scan.
//
// Fairness. A lane has one scan at a time, or two where enough queries wait for another one, so that what the one does
// on few threads, its encoding and its end, leaves none idle. Several lanes scan at the same time: the threads that
// help the drivers spread evenly over them (FairPool), so a small collection waits for no large one. Queries are
// finished in turns, one of each scan, and those with long lists of candidates, which take long to rank, on threads of
// their own.
//
// Company. An idle server answers at once. After a scan, the lane's next one waits for as many queries as are known to
// be about, those that came during the scan and those it has just answered, whose clients often have another one; but
// not for more than a scan needs to be efficient, so that while some clients are answered the others' queries are
// scanned; at most a quarter of the time that the scan took, and no longer than a sixteenth of it after the last one
// came. While all processors finish queries of the lane, as with rerank, a scan of few would only keep them from it:
// then the lane waits for company until one of them is done with it, or for as long as a long scan takes.
//
// Small searches. What reads little waits for none of this: SmallSearches runs it. Where there are many processors, the
// threads that scan give way to the threads of these, and to those that read and answer calls, between blocks.
//
// Order. First come, first served in a lane; a search with more queries than a scan takes has one scan after another.
//
// Limits. At most `max_queued_queries` queries wait; more are refused with RESOURCE_EXHAUSTED. The codes of queries,
// which a search has for every group of the space, take kMostScanCodes bytes a scan at most, and kMostCodes all
// together, but for a scan of each driver and of each thread that runs small searches: then no scan begins until others
// are finished. What is found depends on none of these. Thread safety: all methods may be called from any thread. The
// destructor answers what waits with UNAVAILABLE.
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
  static constexpr uint64_t kMostCodes = uint64_t{256} << 20;

  Scheduler(size_t threads, size_t max_queued_queries, SmallLimits small = SmallLimits::Standard());
  ~Scheduler();

  // Answers a search: at once, on the caller's thread, if it reads little, else as Submit.
  void Serve(std::unique_ptr<SearchJob> job);
  // Puts a search into its lane.
  void Submit(std::unique_ptr<SearchJob> job);
  // The next scan of a search that was admitted before: of a job that has queries left, or a job of its own. It is
  // refused only when the server shuts down.
  void Resume(std::unique_ptr<SearchJob> job);
  // Runs what comes after a search's scans and takes long, beside what ends short ones.
  void RunHeavy(absl::AnyInvocable<void()> work) { heavy_pool_.Submit(std::move(work)); }
  // What waits already still waits.
  void SetMaxQueuedQueries(size_t most) { max_queued_queries_ = most; }
  const Counters& counters() const { return counters_; }
  size_t queued_queries() const;

 private:
  using Group = std::vector<std::unique_ptr<SearchJob>>;
  struct Lane {
    std::deque<std::unique_ptr<SearchJob>> jobs;
    size_t queries = 0;    // that wait
    bool claimed = false;  // is ready, or a driver waits for company for it
    size_t scans = 0;      // that have not ended
    CondVar company;       // what AwaitCompany waits for has come, there are fewer finishers, or stopping_
    size_t awaited = 0;    // queries that it waits for; nobody waits: 0
    SteadyTime awaited_until;
    SteadyTime last_came;  // of the jobs
    size_t scanning = 0;   // queries of these
    size_t about = 0;      // the most that waited or were scanned at a scan's end; each forgets an eighth
    size_t expected = 0;   // queries that are about, as the last scan's end showed
    SteadyTime last_scan_end = -absl::InfiniteDuration();
    absl::Duration last_scan;
    absl::Duration long_scan;  // the longest one, of which an eighth is forgotten with each that follows
    size_t finishers = 0;      // threads that its scans keep finishing light queries
    bool idle() const { return jobs.empty() && scans == 0 && finishers == 0; }
  };

  // `small`: small queries that wait.
  absl::Status Admit(size_t queries, size_t small) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Lane& LaneOf(const SearchJob& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts the job into its lane, at the front if it was there before.
  void Enqueue(std::unique_ptr<SearchJob> job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts the lane among the ready ones if another scan of it may begin.
  void Offer(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drive();
  // Until when a job's scan may wait for company.
  static SteadyTime LatestScan(const Lane& lane, const SearchJob& job);
  void AwaitCompany(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a driver should wait until fewer threads finish queries of the lane: all of them do.
  bool Finishing(const Lane& lane) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return lane.finishers >= finish_pool_.size() && awaiting_ <= drivers_.size() / 2;
  }
  Group TakeGroup(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Answers those that need no scan any more, scans for the others; returns how many queries it scanned for.
  size_t RunGroup(Lane& lane, Group group, bool stopping);
  size_t Scan(Lane& lane, Group group);
  // Of small searches that are alike, from their floats to their answers; those that read the store end elsewhere, and
  // wait in their lane, or are refused, if there is no room for their codes.
  void RunSmall(Group group);
  // Those that nobody waits for, or, if `stopping`, all of them are answered; the others are left.
  static Group Unstopped(Group group, bool stopping);
  void Count(const SearchBatch& batch, const ScanCounts& counts);
  // A batch that counts towards codes_ while it is there.
  std::shared_ptr<SearchBatch> MakeBatch(Group group);
  // Finishes the rest of a batch on a pool, a query or what takes little time at a time, so that other batches have
  // their turn in between; then calls `end`.
  using End = absl::AnyInvocable<void()>;
  static void Finish(ThreadPool& pool, std::shared_ptr<SearchBatch> batch, SearchBatch::Weight weight, End end);

  std::atomic<size_t> max_queued_queries_;
  Counters counters_;
  mutable Mutex mutex_;
  CondVar wake_;  // a lane is ready, there is room for codes again, or stopping_
  std::map<ScanKey, Lane> lanes_ ABSL_GUARDED_BY(mutex_);
  std::deque<Lane*> ready_ ABSL_GUARDED_BY(mutex_);  // each once
  size_t queued_queries_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t codes_ ABSL_GUARDED_BY(mutex_) = 0;   // bytes, of batches that are not finished
  size_t awaiting_ ABSL_GUARDED_BY(mutex_) = 0;  // drivers that wait for company
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  FairPool scan_pool_;     // helps the drivers
  FairPool nobody_{0};     // helps small searches
  ThreadPool heavy_pool_;  // as finish_pool_, of queries with many candidates; which hands work over to it
  std::unique_ptr<SmallSearches> small_;  // used by what runs on the next
  ThreadPool finish_pool_;                // rerank and results, beside the next scans; and small searches
  std::vector<std::thread> drivers_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCHEDULER_H_
