#include "index/search/small_searches.h"

#include <optional>

#include "index/search/located_ids.h"
#include "index/search/ranking.h"

namespace bebr {
namespace {

constexpr size_t kMostTargets = 256;  // before those are forgotten that nobody has any more

uint64_t RowsOf(const CollectionView& view) {
  uint64_t rows = 0;
  for (const auto& shard : view.shards) {
    for (const SegmentView& segment : shard->segments) rows += segment.rows;
  }
  return rows;
}

// The rows that a job's filter leaves of every segment of a view that a ScanTarget has, if they are few in each, and
// `most` at most in all; as far as indexes tell that are there: those that are not are built by scans, on threads of
// their own. Nothing once nobody waits for them.
std::optional<std::vector<SelectedRows>> FewRowsOf(const SearchJob& job, const CollectionView& view, uint64_t most) {
  std::vector<SelectedRows> rows;
  const Filter::TextAnswers none;
  const Filter::LocatedIds ids = LocateIds({job.filter.get()}, *job.shards, view);
  for (const auto& shard : view.shards) {
    for (const SegmentView& segment : shard->segments) {
      if (segment.FindSpace(job.version.space) == nullptr || segment.rows == segment.deleted_rows) continue;
      if (!Interrupted(job.request, SteadyNow()).ok()) return std::nullopt;
      const Filter::Ids of_segment{*segment.segment, ids};
      auto few = job.filter->SelectFew(*segment.attributes, *shard->dictionary, none, segment.rows, &of_segment,
                                       /*may_build=*/false);
      if (!few.has_value() || few->numbers.size() > most) return std::nullopt;
      most -= few->numbers.size();
      rows.push_back(*std::move(few));
    }
  }
  return rows;
}

// Whether two can be scanned as one: both see a target, the same one, or both what is there when they are scanned.
bool SeeTheSame(const SearchJob& a, const SearchJob& b) { return ScanKeyOf(a) == ScanKeyOf(b) && a.target == b.target; }

}  // namespace

SmallLimits& SmallLimits::Standard() {
  static SmallLimits limits;
  return limits;
}

SmallSearches::SmallSearches(SmallLimits limits, size_t most_runners, ThreadPool& pool, std::function<void(Group)> run)
    : limits_(limits), most_runners_(most_runners), pool_(pool), run_(std::move(run)) {}

void SmallSearches::AwaitCallers() {
  MutexLock lock(&mutex_);
  while (callers_ > 0) left_.Wait(&mutex_);
}

size_t SmallSearches::queued_queries() const {
  MutexLock lock(&mutex_);
  return queued_queries_;
}

std::shared_ptr<const ScanTarget> SmallSearches::TargetOf(const View& view, uint32_t space) {
  const std::pair key(view.get(), space);
  {
    MutexLock lock(&targets_mutex_);
    const auto known = targets_.find(key);
    auto target = known == targets_.end() ? nullptr : known->second.lock();
    if (target != nullptr) return target;  // it holds its view, so this is no other one in the same place
  }
  auto target = std::make_shared<const ScanTarget>(view, space);  // takes long; other collections' wait for none of it
  MutexLock lock(&targets_mutex_);
  std::weak_ptr<const ScanTarget>& known = targets_[key];
  if (auto first = known.lock()) return first;  // of another search of the same time
  known = target;
  if (targets_.size() > kMostTargets) {
    std::erase_if(targets_, [](const auto& entry) { return entry.second.expired(); });
  }
  return target;
}

bool SmallSearches::IsSmall(SearchJob& job) {
  const uint64_t queries = job.request.queries.size();
  if (queries > MostQueries(job) || !job.filters.empty() || CandidateCount(job.request) > kHeavyCandidates)
    return false;
  if (job.filter != nullptr && !job.filter->IsLight()) return false;
  const View now = job.target == nullptr ? job.shards->view() : nullptr;
  const CollectionView& view = now != nullptr ? *now : job.target->view();
  if (RowsOf(view) * queries <= limits_.rows) return true;
  if (job.filter == nullptr) return false;
  auto rows = FewRowsOf(job, view, limits_.picked / queries);
  if (!rows.has_value()) return false;
  if (now != nullptr) job.target = TargetOf(now, job.version.space);
  job.rows = std::move(rows);
  return true;
}

SmallSearches::Group SmallSearches::Take() {
  Group group;
  size_t queries = 0;
  while (!waiting_.empty()) {
    const SearchJob& next = *waiting_.front();
    const size_t more = next.request.queries.size();
    const bool together = group.empty() || (SeeTheSame(*group.front(), next) && queries + more <= MostQueries(next));
    if (!together) break;
    queries += more;
    group.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  queued_queries_ -= queries;
  return group;
}

void SmallSearches::Run(std::unique_ptr<SearchJob> job) {
  job->submitted = SteadyNow();
  const bool alone = job->version.binarizer->memory_bytes() <= limits_.model_bytes;
  Group group;
  {
    MutexLock lock(&mutex_);
    if (alone) {
      group.push_back(std::move(job));
    } else {
      queued_queries_ += job->request.queries.size();
      waiting_.push_back(std::move(job));
      if (runners_ >= most_runners_) return;
      ++runners_;
      group = Take();
    }
    ++callers_;
  }
  run_(std::move(group));
  MutexLock lock(&mutex_);
  if (!alone && waiting_.empty()) {
    --runners_;
  } else if (!alone) {
    pool_.Submit([this] { GoOn(); });
  }
  if (--callers_ == 0) left_.NotifyAll();
}

void SmallSearches::GoOn() {
  Group group;
  {
    MutexLock lock(&mutex_);
    if (waiting_.empty()) {
      --runners_;
      return;
    }
    group = Take();
  }
  run_(std::move(group));
  pool_.Submit([this] { GoOn(); });
}

}  // namespace bebr
