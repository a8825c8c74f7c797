#include "index/search/scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "index/base/retry.h"
#include "index/search/scan_filters.h"

namespace bebr {
namespace {

constexpr size_t kEnoughQueries = 32;  // for a scan, however few are about
constexpr int kCompanyShare = 4;       // of a scan's time, that the next one waits for company at most,
constexpr int kLullShare = 16;         // and this much, but at least kLeastLull, after somebody came
constexpr absl::Duration kLeastLull = absl::Microseconds(300);
constexpr size_t kMostScans = 2;                                 // of a lane at a time
constexpr absl::Duration kFinishTurn = absl::Microseconds(200);  // each turn may wake a thread
constexpr size_t kFinishedEach = 4;  // queries that are worth waking a thread, if no store is read
constexpr size_t kLeastDrivers = 4;
constexpr size_t kManyThreads = 8;   // that scan, from which on they give way: the kernel then takes a processor from
                                     // one that computes after 3 ms and more
constexpr size_t kMostLanes = 1000;  // before those without searches are forgotten

// Whether a search sees what those of a group see, of which one may have a target: it has the same one, or none, and
// the target is of the view that is there now.
bool SeeTheSame(const SearchJob& first, const std::shared_ptr<const ScanTarget>& target, const SearchJob& next) {
  if (target == nullptr && next.target == nullptr) return true;
  if (target != nullptr && next.target != nullptr) return target == next.target;
  return &(target != nullptr ? target : next.target)->view() == first.shards->view().get();
}

// How many queries a scan that begins with this search should have: with fewer it waits for company, if it can have
// any. Half of those that are `about`: while one half is scanned, the other half is answered and comes again.
size_t EnoughQueries(const SearchJob& job, size_t about) {
  return job.target != nullptr ? 1 : std::min(std::max(kEnoughQueries, about / 2), MostQueries(job));
}

// What the codes of a group take until the store was read, if it is.
uint64_t CodesThatStay(absl::Span<const std::unique_ptr<SearchJob>> group) {
  uint64_t codes = 0;
  bool reads_store = false;
  for (const auto& job : group) {
    codes += job->request.queries.size() * job->query_memory;
    reads_store = reads_store || job->request.rerank > 0 || job->request.with_attributes;
  }
  return reads_store ? codes : 0;
}

}  // namespace

Scheduler::Scheduler(size_t threads, size_t max_queued_queries, SmallLimits small)
    : max_queued_queries_(max_queued_queries),
      scan_pool_(threads - 1, threads >= kManyThreads ? FairPool::Manners::kGiveWay : FairPool::Manners::kKeep),
      heavy_pool_((threads + 1) / 2),
      small_(std::make_unique<SmallSearches>(small, threads, finish_pool_,
                                             [this](Group group) { RunSmall(std::move(group)); })),
      finish_pool_(threads) {
  const size_t drivers = std::max(kLeastDrivers, threads / 2);
  for (size_t i = 0; i < drivers; ++i) drivers_.emplace_back([this] { Drive(); });
}

Scheduler::~Scheduler() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    for (auto& [key, lane] : lanes_) lane.company.NotifyAll();
  }
  wake_.NotifyAll();
  for (std::thread& driver : drivers_) driver.join();
  small_->AwaitCallers();
}

absl::Status Scheduler::Admit(size_t queries, size_t small) const {
  if (stopping_) return absl::UnavailableError("the server is shutting down");
  const size_t most = max_queued_queries_.load(std::memory_order_relaxed);
  if (queries > most) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("the request has %d queries and at most %d may wait (max_queued_queries); send fewer at a time",
                        queries, most));
  }
  const size_t queued = queued_queries_ + small;
  if (queued + queries > most) {
    return TryAgainLater(absl::StrFormat("%d queries wait and the limit is %d; try again later", queued, most));
  }
  return absl::OkStatus();
}

Scheduler::Lane& Scheduler::LaneOf(const SearchJob& job) {
  if (lanes_.size() >= kMostLanes) {
    std::erase_if(lanes_, [](const auto& entry) { return entry.second.idle(); });
  }
  return lanes_[ScanKeyOf(job)];
}

void Scheduler::Serve(std::unique_ptr<SearchJob> job) {
  const size_t queries = job->request.queries.size(), most = max_queued_queries_.load(std::memory_order_relaxed);
  if (queries + queued_queries() > most || !small_->IsSmall(*job)) return Submit(std::move(job));
  small_->Run(std::move(job));
}

void Scheduler::Submit(std::unique_ptr<SearchJob> job) {
  const size_t queries = job->request.queries.size(), small = small_->queued_queries();
  absl::Status refusal;
  {
    MutexLock lock(&mutex_);
    refusal = Admit(queries, small);
    if (refusal.ok()) {
      Enqueue(std::move(job));
      return;
    }
  }
  counters_.refused_queries.fetch_add(queries, std::memory_order_relaxed);
  job->done(refusal);
}

void Scheduler::Enqueue(std::unique_ptr<SearchJob> job) {
  Lane& lane = LaneOf(*job);
  const size_t queries = job->queries_left();
  queued_queries_ += queries;
  lane.queries += queries;
  job->submitted = lane.last_came = SteadyNow();
  const bool resumed = job->scanned > 0;
  // Who waits for company is not woken for each that comes.
  if (lane.awaited > 0 && (lane.queries >= lane.awaited || resumed || LatestScan(lane, *job) < lane.awaited_until))
    lane.company.NotifyOne();
  lane.jobs.insert(resumed ? lane.jobs.begin() : lane.jobs.end(), std::move(job));
  Offer(lane);
}

void Scheduler::Resume(std::unique_ptr<SearchJob> job) {
  {
    MutexLock lock(&mutex_);
    if (!stopping_) return Enqueue(std::move(job));
  }
  job->done(absl::UnavailableError("the server is shutting down"));
}

void Scheduler::Offer(Lane& lane) {
  if (lane.jobs.empty() || lane.claimed) return;
  if (lane.scans > 0 && (lane.scans >= kMostScans || lane.queries < EnoughQueries(*lane.jobs.front(), lane.about)))
    return;
  lane.claimed = true;
  ready_.push_back(&lane);
  wake_.NotifyOne();
}

size_t Scheduler::queued_queries() const {
  const size_t small = small_->queued_queries();
  MutexLock lock(&mutex_);
  return queued_queries_ + small;
}

Scheduler::Group Scheduler::TakeGroup(Lane& lane) {
  Group group;
  size_t queries = 0;
  const size_t most = MostQueries(*lane.jobs.front());
  const size_t most_filters = MostFilters(*lane.jobs.front()->shards->view());
  absl::flat_hash_set<std::string_view> filters;  // texts
  size_t own_filters = 0;                         // of single queries
  std::shared_ptr<const ScanTarget> target;       // of one of them; then of all
  bool alone = false;                             // a search with more queries than a scan takes
  while (!lane.jobs.empty() && !alone) {
    const SearchJob& next = *lane.jobs.front();
    const std::string& filter = next.request.filter;
    alone = next.queries_left() > most;
    const size_t filters_then = filters.size() + own_filters + (filters.contains(filter) ? 0 : 1) + next.filters.size();
    const bool room = !alone && queries + next.queries_left() <= most &&
                      (filters_then <= most_filters || filters_then == filters.size() + own_filters) &&
                      (group.empty() || SeeTheSame(*group.front(), target, next));
    if (!group.empty() && !room) break;
    queries += next.queries_left();
    filters.insert(filter);
    own_filters += next.filters.size();
    if (target == nullptr) target = next.target;
    group.push_back(std::move(lane.jobs.front()));
    lane.jobs.pop_front();
  }
  for (const auto& job : group) job->target = target;
  lane.queries -= queries;
  lane.scanning += queries;
  queued_queries_ -= queries;
  return group;
}

SteadyTime Scheduler::LatestScan(const Lane& lane, const SearchJob& job) {
  return job.request.deadline - 2 * lane.last_scan;
}

void Scheduler::AwaitCompany(Lane& lane) {
  const absl::Duration most = lane.last_scan / kCompanyShare;
  const absl::Duration lull = std::max(kLeastLull, lane.last_scan / kLullShare);
  SteadyTime now = SteadyNow();
  SteadyTime until = lane.last_scan_end + most, quiet = now + lull;
  bool finishing = Finishing(lane);
  while (!stopping_) {
    const size_t enough = EnoughQueries(*lane.jobs.front(), lane.about);
    lane.awaited = finishing ? enough : std::min(lane.expected, enough);
    if (lane.queries >= lane.awaited) break;
    SteadyTime end = finishing ? lane.last_scan_end + lane.long_scan : std::min(until, quiet);
    // Nobody waits for company until there is no time left for the scan.
    for (const auto& job : lane.jobs) end = std::min(end, LatestScan(lane, *job));
    if (now >= end) break;
    lane.awaited_until = end;
    lane.company.WaitFor(&mutex_, end - now);
    now = SteadyNow();
    quiet = std::max(quiet, lane.last_came + lull);
    // Whose answers were the last ones may ask again.
    if (finishing && !Finishing(lane)) {
      until = now + most;
      quiet = now + lull;
    }
    finishing = Finishing(lane);
  }
  lane.awaited = 0;
}

void Scheduler::Drive() {
  for (;;) {
    Lane* lane;
    Group group;
    bool stopping;
    size_t taken;
    {
      MutexLock lock(&mutex_);
      while (!stopping_ && (ready_.empty() || codes_ >= kMostCodes)) wake_.Wait(&mutex_);
      if (ready_.empty()) return;
      lane = ready_.front();
      ready_.pop_front();
      ++awaiting_;
      AwaitCompany(*lane);
      --awaiting_;
      const size_t before = lane->scanning;
      group = TakeGroup(*lane);
      taken = lane->scanning - before;
      lane->claimed = false;
      ++lane->scans;
      Offer(*lane);
      stopping = stopping_;
    }
    const SteadyTime start = SteadyNow();
    const size_t scanned = RunGroup(*lane, std::move(group), stopping);
    MutexLock lock(&mutex_);
    --lane->scans;
    lane->about = std::max(lane->queries + lane->scanning, lane->about - lane->about / 8);
    lane->scanning -= taken;
    if (scanned > 0) {
      lane->expected = lane->queries + scanned;
      lane->last_scan_end = SteadyNow();
      lane->last_scan = lane->last_scan_end - start;
      lane->long_scan = std::max(lane->last_scan, lane->long_scan - lane->long_scan / 8);
    }
    Offer(*lane);
  }
}

Scheduler::Group Scheduler::Unstopped(Group group, bool stopping) {
  Group ready;
  for (std::unique_ptr<SearchJob>& job : group) {
    absl::Status status = Interrupted(job->request, SteadyNow());
    if (stopping) status = absl::UnavailableError("the server is shutting down");
    if (status.ok()) {
      ready.push_back(std::move(job));
    } else {
      job->done(status);
    }
  }
  return ready;
}

size_t Scheduler::RunGroup(Lane& lane, Group group, bool stopping) {
  Group ready = Unstopped(std::move(group), stopping);
  return ready.empty() ? 0 : Scan(lane, std::move(ready));
}

std::shared_ptr<SearchBatch> Scheduler::MakeBatch(Group group) {
  const size_t most = MostQueries(*group.front());
  const uint64_t query_memory = group.front()->query_memory;
  auto batch = std::make_unique<SearchBatch>(std::move(group), most,
                                             [this](std::unique_ptr<SearchJob> job) { Resume(std::move(job)); });
  const uint64_t codes = batch->query_count() * query_memory;
  const auto end = [this, codes](SearchBatch* ended) {
    delete ended;
    MutexLock lock(&mutex_);
    if (codes_ >= kMostCodes) wake_.NotifyAll();
    codes_ -= codes;
  };
  MutexLock lock(&mutex_);
  codes_ += codes;
  return {batch.release(), end};
}

void Scheduler::Count(const SearchBatch& batch, const ScanCounts& counts) {
  counters_.queries.fetch_add(batch.query_count(), std::memory_order_relaxed);
  counters_.scans.fetch_add(1, std::memory_order_relaxed);
  counters_.documents_scanned.fetch_add(counts.documents, std::memory_order_relaxed);
  counters_.bytes_scanned.fetch_add(counts.bytes, std::memory_order_relaxed);
  counters_.scan_us.fetch_add(static_cast<uint64_t>(batch.scan_us()), std::memory_order_relaxed);
}

void Scheduler::RunSmall(Group group) {
  const uint64_t codes = CodesThatStay(group);
  bool stopping, room;
  {
    MutexLock lock(&mutex_);
    stopping = stopping_;
    room = codes == 0 || codes_ + codes <= kMostCodes;
  }
  Group ready = Unstopped(std::move(group), stopping);
  if (ready.empty()) return;
  if (!room) {
    for (std::unique_ptr<SearchJob>& job : ready) Submit(std::move(job));  // others may wait by now
    return;
  }
  const std::shared_ptr<SearchBatch> batch = MakeBatch(std::move(ready));
  batch->Encode(nobody_);
  Count(*batch, batch->Scan(nobody_));
  constexpr auto kLight = SearchBatch::Weight::kLight;
  if (!batch->reads_store()) {
    while (batch->FinishNext(kLight)) continue;
    return;
  }
  for (size_t t = 0; t < std::min(finish_pool_.size(), batch->count(kLight)); ++t)
    Finish(finish_pool_, batch, kLight, [] {});
}

size_t Scheduler::Scan(Lane& lane, Group group) {
  const std::shared_ptr<SearchBatch> batch = MakeBatch(std::move(group));
  batch->Encode(scan_pool_);
  Count(*batch, batch->Scan(scan_pool_));
  using Weight = SearchBatch::Weight;
  const size_t each = batch->reads_store() ? 1 : kFinishedEach;
  const size_t light = std::min(finish_pool_.size(), (batch->count(Weight::kLight) + each - 1) / each);
  {
    MutexLock lock(&mutex_);
    lane.finishers += light;
  }
  const auto left = [this, &lane] {
    MutexLock lock(&mutex_);
    --lane.finishers;
    lane.company.NotifyOne();
  };
  for (size_t t = 0; t < light; ++t) Finish(finish_pool_, batch, Weight::kLight, left);
  const size_t heavy = std::min(heavy_pool_.size(), batch->count(Weight::kHeavy));
  for (size_t t = 0; t < heavy; ++t) Finish(heavy_pool_, batch, Weight::kHeavy, [] {});
  return batch->query_count();
}

void Scheduler::Finish(ThreadPool& pool, std::shared_ptr<SearchBatch> batch, SearchBatch::Weight weight, End end) {
  pool.Submit([&pool, batch = std::move(batch), weight, end = std::move(end)]() mutable {
    const SteadyTime until = SteadyNow() + kFinishTurn;
    while (batch->FinishNext(weight)) {
      if (SteadyNow() >= until) return Finish(pool, std::move(batch), weight, std::move(end));
    }
    end();
  });
}

}  // namespace bebr
