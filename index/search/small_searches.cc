#include "index/search/small_searches.h"

#include <optional>

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

// The rows of every segment of a view that a filter leaves, if they are few in each, and `most` at most in all.
std::optional<std::vector<SelectedRows>> FewRowsOf(const Filter& filter, const CollectionView& view, uint64_t most) {
  std::vector<SelectedRows> rows;
  const Filter::TextAnswers none;
  for (const auto& shard : view.shards) {
    for (const SegmentView& segment : shard->segments) {
      auto few = filter.SelectFew(*segment.attributes, *shard->dictionary, none, segment.rows, segment.segment.get());
      if (!few.has_value() || few->numbers.size() > most) return std::nullopt;
      most -= few->numbers.size();
      rows.push_back(*std::move(few));
    }
  }
  return rows;
}

// Of the rows of every segment of its view, those of the parts of a target.
std::vector<SelectedRows> RowsOfParts(std::vector<SelectedRows> rows, const ScanTarget& target) {
  std::vector<SelectedRows> of_parts;
  of_parts.reserve(target.parts().size());
  auto part = target.parts().begin();  // they are in the order of the segments, of which some may be none
  size_t number = 0;
  for (const auto& shard : target.view().shards) {
    for (const SegmentView& segment : shard->segments) {
      if (part != target.parts().end() && part->view == &segment) {
        of_parts.push_back(std::move(rows[number]));
        ++part;
      }
      ++number;
    }
  }
  return of_parts;
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
  MutexLock lock(&targets_mutex_);
  std::weak_ptr<const ScanTarget>& known = targets_[{view.get(), space}];
  if (auto target = known.lock()) return target;  // it holds its view, so this is no other one in the same place
  auto target = std::make_shared<const ScanTarget>(view, space);
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
  const View now = job.target == nullptr ? job.shards->view() : nullptr;
  const CollectionView& view = now != nullptr ? *now : job.target->view();
  if (RowsOf(view) * queries <= limits_.rows) return true;
  if (job.filter == nullptr || !job.filter->TextTests().empty()) return false;
  auto rows = FewRowsOf(*job.filter, view, limits_.picked / queries);
  if (!rows.has_value()) return false;
  if (now != nullptr) job.target = TargetOf(now, job.version.space);
  job.rows = RowsOfParts(*std::move(rows), *job.target);
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
