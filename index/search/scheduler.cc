#include "index/search/scheduler.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "index/base/retry.h"
#include "index/search/search_batch.h"

namespace bebr {
namespace {

constexpr size_t kMaxQueriesPerScan = 256;
constexpr uint64_t kMostFilterBits = uint64_t{64} << 23;  // of a group's filters, a bit a row each: 64 MiB
constexpr int kCompanyShare = 4;  // of a scan's time, that the next one waits for company at most,
constexpr int kLullShare = 16;    // and this much, but at least kLeastLull, after somebody came
constexpr absl::Duration kLeastLull = absl::Microseconds(300);

bool SameGroup(const SearchJob& a, const SearchJob& b) {
  return a.manifest == b.manifest && a.version.number == b.version.number &&
         a.request.first_levels == b.request.first_levels && a.request.candidates == b.request.candidates;
}

// How many different filters a group of searches of a collection may have.
size_t MostFilters(const CollectionView& view) {
  uint64_t rows = 1;
  for (const auto& shard : view.shards) {
    for (const SegmentView& segment : shard->segments) rows += segment.rows;
  }
  return std::max<size_t>(1, kMostFilterBits / rows);
}

}  // namespace

Scheduler::Scheduler(size_t threads, size_t max_queued_queries)
    : threads_(threads), max_queued_queries_(max_queued_queries), scan_pool_(threads - 1), finish_pool_(threads) {
  thread_ = std::thread([this] { Run(); });
}

Scheduler::~Scheduler() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

void Scheduler::Submit(std::unique_ptr<SearchJob> job) {
  const size_t queries = job->request.queries.size();
  absl::Status refusal;
  {
    MutexLock lock(&mutex_);
    if (stopping_) {
      refusal = absl::UnavailableError("the server is shutting down");
    } else if (queries > max_queued_queries_) {
      refusal = absl::ResourceExhaustedError(absl::StrFormat(
          "the request has %d queries and at most %d may wait (max_queued_queries); send fewer at a time", queries,
          max_queued_queries_));
    } else if (queued_queries_ + queries > max_queued_queries_) {
      refusal = TryAgainLater(absl::StrFormat("%d queries wait and the limit is %d; try again later", queued_queries_,
                                              max_queued_queries_));
    } else {
      queued_queries_ += queries;
      job->submitted = SteadyNow();
      queue_.push_back(std::move(job));
      wake_.NotifyOne();
      return;
    }
  }
  counters_.refused_queries.fetch_add(queries, std::memory_order_relaxed);
  job->done(refusal);
}

size_t Scheduler::queued_queries() const {
  MutexLock lock(&mutex_);
  return queued_queries_;
}

std::vector<std::unique_ptr<SearchJob>> Scheduler::TakeGroup() {
  std::vector<std::unique_ptr<SearchJob>> group;
  std::deque<std::unique_ptr<SearchJob>> rest;
  size_t queries = 0;
  const size_t most_filters = MostFilters(*queue_.front()->shards->view());
  absl::flat_hash_set<std::string_view> filters;  // texts
  for (std::unique_ptr<SearchJob>& job : queue_) {
    const size_t count = job->request.queries.size();
    const std::string_view filter = job->request.filter;
    const bool same = group.empty() || SameGroup(*group.front(), *job);
    const bool room = group.empty() || (queries + count <= kMaxQueriesPerScan &&
                                        (filters.contains(filter) || filters.size() < most_filters));
    // Once one of the group does not fit, no later one may overtake it.
    if (same && !room) queries = kMaxQueriesPerScan;
    if (same && room) {
      queries += count;
      filters.insert(filter);
      group.push_back(std::move(job));
    } else {
      rest.push_back(std::move(job));
    }
  }
  queue_ = std::move(rest);
  for (const auto& job : group) queued_queries_ -= job->request.queries.size();
  return group;
}

void Scheduler::AwaitCompany() {
  const size_t enough = std::min(expected_queries_, kMaxQueriesPerScan);
  const SteadyTime until = last_scan_end_ + last_scan_ / kCompanyShare;
  const absl::Duration lull = std::max(kLeastLull, last_scan_ / kLullShare);
  SteadyTime now = SteadyNow();
  SteadyTime quiet = now + lull;
  while (!stopping_ && queued_queries_ < enough && now < std::min(until, quiet)) {
    const size_t before = queued_queries_;
    wake_.WaitFor(&mutex_, std::min(until, quiet) - now);
    now = SteadyNow();
    if (queued_queries_ > before) quiet = now + lull;
  }
}

void Scheduler::Run() {
  for (;;) {
    std::vector<std::unique_ptr<SearchJob>> group;
    bool stopping;
    {
      MutexLock lock(&mutex_);
      while (!stopping_ && queue_.empty()) wake_.Wait(&mutex_);
      AwaitCompany();
      if (queue_.empty()) return;
      group = TakeGroup();
      stopping = stopping_;
    }
    std::vector<std::unique_ptr<SearchJob>> ready;
    for (std::unique_ptr<SearchJob>& job : group) {
      absl::Status status = Interrupted(job->request, SteadyNow());
      if (stopping) status = absl::UnavailableError("the server is shutting down");
      if (status.ok()) {
        ready.push_back(std::move(job));
      } else {
        job->done(status);
      }
    }
    if (ready.empty()) continue;
    size_t answered = 0;
    for (const auto& job : ready) answered += job->request.queries.size();
    const SteadyTime start = SteadyNow();
    RunGroup(std::move(ready));
    MutexLock lock(&mutex_);
    expected_queries_ = queued_queries_ + answered;
    last_scan_end_ = SteadyNow();
    last_scan_ = last_scan_end_ - start;
  }
}

void Scheduler::RunGroup(std::vector<std::unique_ptr<SearchJob>> jobs) {
  auto batch = std::make_shared<SearchBatch>(std::move(jobs));
  batch->Encode(scan_pool_);
  const ScanCounts counts = batch->Scan(scan_pool_, threads_);
  counters_.queries.fetch_add(batch->query_count(), std::memory_order_relaxed);
  counters_.scans.fetch_add(1, std::memory_order_relaxed);
  counters_.documents_scanned.fetch_add(counts.documents, std::memory_order_relaxed);
  counters_.bytes_scanned.fetch_add(counts.bytes, std::memory_order_relaxed);
  counters_.scan_us.fetch_add(static_cast<uint64_t>(batch->scan_us()), std::memory_order_relaxed);
  for (size_t t = 0; t < std::min(finish_pool_.size(), batch->query_count()); ++t) {
    finish_pool_.Submit([batch] { batch->Finish(); });
  }
}

}  // namespace bebr
