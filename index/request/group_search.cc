#include "index/request/group_search.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/str_format.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "index/request/child_search.h"
#include "index/request/group_round.h"
#include "index/search/answer.h"
#include "index/search/grouping.h"
#include "index/search/ranking.h"
#include "index/search/rerank.h"
#include "index/search/result_memory.h"
#include "index/search/scan_filters.h"

namespace bebr {
namespace {

constexpr size_t kQueriesAtATime = 16;
constexpr size_t kFillsAtATime = 64;

// A candidate, or a hit, as a place in what was scanned.
template <typename Found>
std::pair<uint32_t, uint32_t> RowOf(const Found& found) {
  return {found.segment, found.row};
}

// A search by groups under way: a few queries at a time, each on its own way from scan to scan. Lives as long as one of
// its scans; what these hand over comes on the threads that finish searches.
class GroupSearch : public std::enable_shared_from_this<GroupSearch> {
 public:
  GroupSearch(std::unique_ptr<SearchJob> job, Scheduler& scheduler) : job_(std::move(job)), scheduler_(scheduler) {}

  void Start();

 private:
  // One query and how far it has come. It has one scan at a time.
  struct Query {
    Query(size_t number_in, size_t k, size_t group_size) : number(number_in), groups(k, group_size) {}

    const size_t number;   // of the request's
    size_t rounds = 0;     // scans for groups so far
    size_t hits = 0;       // candidates that the last of them was to find,
    bool all = false;      // and it found fewer
    bool grouped = false;  // the groups are known
    double share = 0;      // of the documents, that each of its scans scores
    HitGroups groups;
    std::vector<size_t> unfilled;  // groups of which too few hits are known
    // Of a part: the exact scores of the candidates that were scored again, by row, and the hits that are made of them.
    absl::flat_hash_map<std::pair<uint32_t, uint32_t>, ScoredCandidate> rescored;
    std::vector<SearchHit> reranked;
  };
  using QueryPtr = std::shared_ptr<Query>;
  using Take = absl::AnyInvocable<absl::Status(Query&, SearchResult)>;

  const SearchRequest& request() const { return job_->request; }
  absl::Status Prepare();
  absl::Status PreparePart();
  // Begins the next query, if there is one.
  void StartNext();
  // With groups that are known.
  void StartKnown(const QueryPtr& query);
  // Goes on after a scan: to the next one, or to the end, with a long list on a thread for those.
  void Continue(const QueryPtr& query);
  // Scans for hits of groups that are not known yet.
  void ScanForGroups(const QueryPtr& query);
  // Puts what such a scan has found into groups, and returns those that are in one; takes the hits that are made of
  // them.
  absl::StatusOr<std::vector<Candidate>> Choose(Query& query, std::vector<Candidate> found);
  absl::Status TakeGroups(Query& query, SearchResult result);
  // Finds the best hits of the next groups of which too few are known.
  void Fill(const QueryPtr& query);
  // The first scans of the first queries are refused where too many wait; what comes later is not.
  void Submit(std::unique_ptr<SearchJob> child, const QueryPtr& query, bool admitted, Take take);
  absl::Status End(Query& query);
  // Of a part: keeps the estimates of hits by which they are selected, and takes the scores that are known to be exact.
  static void KeepKeys(Query& query);
  // All hits of a part, which has scored them again, each with its values.
  absl::StatusOr<std::vector<SearchHit>> HitsOfPart(Query& query);
  // How candidates of a query, and estimated ones of its hits, are scored again.
  absl::StatusOr<std::vector<ScoredCandidate>> Reranked(size_t query, const std::vector<Candidate>& candidates);
  ExactScoring ScoringOf(size_t query) const {
    return {request().queries[query], job_->version.embedding, job_->manifest->store_floats,
            job_->version.binarizer->metric(), [this] { return Interrupted(request(), SteadyNow()); }};
  }
  absl::Status Rescore(size_t query, absl::Span<SearchHit* const> hits);
  // Asks for the memory of so many more hits, as far as others have not given theirs up.
  absl::Status Hold(size_t hits);
  void GiveUp(size_t hits);
  // A query has ended: another one begins, or the last one answers.
  void Finish(const absl::Status& status);

  const std::unique_ptr<SearchJob> job_;
  Scheduler& scheduler_;
  std::shared_ptr<const Filter> any_group_;  // the filter, of documents that are in a group
  ValueKinds kinds_;                         // of the attribute
  std::atomic<int64_t> rerank_us_{0};

  Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);  // the first error
  size_t begun_ ABSL_GUARDED_BY(mutex_) = 0;     // queries
  size_t ended_ ABSL_GUARDED_BY(mutex_) = 0;     // of them
  size_t held_ ABSL_GUARDED_BY(mutex_) = 0;      // hits
  size_t asked_ ABSL_GUARDED_BY(mutex_) = 0;     // hits whose memory was asked for
};

absl::Status GroupSearch::Prepare() {
  BEBR_RETURN_IF_ERROR(CheckGroupAttribute(*job_->manifest, request().group_by));
  Pin(*job_);
  kinds_ = KindsOf(job_->target->view(), request().group_by);
  any_group_ = Filter::WithOtherValue(job_->filter.get(), request().group_by, {}, kinds_.lists);
  job_->result.hits.resize(request().queries.size());
  if (request().part) return PreparePart();
  job_->result.warnings = WarningsOf(*any_group_, job_->target->view());
  if (request().strict) BEBR_RETURN_IF_ERROR(CheckKnown(job_->result.warnings, "filter and group_by"));
  AddCodeWarning(request(), WithoutCode(job_->target->view(), *job_->manifest, job_->version.space),
                 job_->result.warnings);
  return Hold(request().queries.size() * WantedCount(request()));
}

absl::Status GroupSearch::PreparePart() {
  const size_t wanted = request().group_values.size(), queries = request().queries.size();
  if (wanted != 0 && wanted != queries) {
    return absl::InvalidArgumentError(
        absl::StrFormat("group_values has %d entries; it is one for each of the %d queries, or none", wanted, queries));
  }
  AddPartFacts(*job_, job_->target->view(), job_->result);
  job_->result.rerank = request().rerank;
  job_->result.documents = job_->target->live_rows();
  job_->result.grouped.resize(queries);
  return Hold(queries * (WantedCount(request()) + request().rerank));
}

void GroupSearch::Start() {
  if (absl::Status status = Prepare(); !status.ok()) return job_->done(std::move(status));
  for (size_t i = 0; i < kQueriesAtATime; ++i) StartNext();
}

void GroupSearch::StartNext() {
  QueryPtr query;
  {
    MutexLock lock(&mutex_);
    if (begun_ == request().queries.size() || !status_.ok()) return;
    query = std::make_shared<Query>(begun_++, request().k, request().group_size);
  }
  if (!request().group_values.empty()) return StartKnown(query);
  ScanForGroups(query);
}

void GroupSearch::StartKnown(const QueryPtr& query) {
  const std::vector<AttributeValue>& values = request().group_values[query->number];
  for (size_t g = 0; g < values.size(); ++g) {
    query->groups.AddKnown(ToScalar(values[g]));
    query->unfilled.push_back(g);
  }
  query->grouped = true;
  Continue(query);
}

void GroupSearch::Continue(const QueryPtr& query) {
  if (!query->grouped) return ScanForGroups(query);
  if (!query->unfilled.empty()) return Fill(query);
  if (WantedCount(request()) + query->reranked.size() <= kHeavyCandidates) return Finish(End(*query));
  scheduler_.RunHeavy([self = shared_from_this(), query] { self->Finish(self->End(*query)); });
}

void GroupSearch::ScanForGroups(const QueryPtr& query) {
  const bool first = query->rounds++ == 0;
  const bool admitted = !first || query->number >= kQueriesAtATime;
  query->hits = HitsOfRound(request(), request().rerank, query->rounds);
  auto child = ChildOf(*job_, {request().queries[query->number]}, query->hits);
  if (!first) {
    child->filters = {
        Filter::WithOtherValue(job_->filter.get(), request().group_by, query->groups.known(), kinds_.lists)};
  } else if (kinds_.none || kinds_.lists) {
    // Alike for all queries, so that it is evaluated once.
    child->filter = any_group_;
    child->request.filter = request().filter + '\0' + request().group_by;
  }
  child->choose = [this, query](std::vector<Candidate> found) { return Choose(*query, std::move(found)); };
  Submit(std::move(child), query, admitted,
         [this](Query& of, SearchResult result) { return TakeGroups(of, std::move(result)); });
}

absl::StatusOr<std::vector<Candidate>> GroupSearch::Choose(Query& query, std::vector<Candidate> found) {
  const std::optional<float> least = request().rerank == 0 ? request().min_score : std::nullopt;
  while (!found.empty() && least.has_value() && found.back().score < *least) found.pop_back();
  query.all = found.size() < query.hits;
  std::vector<ScoredCandidate> ranked;
  size_t reranked = 0;
  if (request().rerank > 0 && query.groups.groups().empty()) {
    // The best ones are scored again and come first; of a part by whoever merges it.
    reranked = std::min(found.size(), request().rerank);
    const auto rest = found.begin() + static_cast<ptrdiff_t>(reranked);
    BEBR_ASSIGN_OR_RETURN(ranked, Reranked(query.number, {found.begin(), rest}));
    if (request().part) {
      for (const ScoredCandidate& scored : std::exchange(ranked, {}))
        query.rescored.emplace(RowOf(scored.candidate), scored);
    } else {
      found.erase(found.begin(), rest);
    }
  }
  for (const Candidate& candidate : found) ranked.push_back({candidate, ScoreKind::kEstimated});
  query.groups.Add(*job_->target, request().group_by, ranked);
  return query.groups.Wanted(ranked, request().part ? reranked : 0);
}

absl::Status GroupSearch::TakeGroups(Query& query, SearchResult result) {
  query.share = result.scanned_share;
  BEBR_RETURN_IF_ERROR(query.groups.Complete(result.hits.front()));
  for (SearchHit& hit : result.hits.front()) {
    if (query.reranked.size() == query.rescored.size()) break;
    if (query.rescored.contains(RowOf(hit))) query.reranked.push_back(std::move(hit));
  }
  query.groups.EndRound(query.all);
  query.grouped = query.all || query.groups.enough();
  for (size_t g = 0; query.grouped && g < query.groups.groups().size(); ++g) {
    if (!query.groups.groups()[g].whole) query.unfilled.push_back(g);
  }
  return absl::OkStatus();
}

void GroupSearch::Fill(const QueryPtr& query) {
  const size_t most = std::min(kFillsAtATime, MostFilters(job_->target->view()));
  const size_t count = std::min(most, query->unfilled.size());
  std::vector<size_t> groups(query->unfilled.end() - static_cast<ptrdiff_t>(count), query->unfilled.end());
  query->unfilled.resize(query->unfilled.size() - count);
  const std::vector<absl::Span<const float>> queries(count, request().queries[query->number]);
  auto child = ChildOf(*job_, queries, request().group_size);
  for (const size_t g : groups) {
    child->filters.push_back(
        Filter::WithValue(job_->filter.get(), request().group_by, query->groups.groups()[g].value, kinds_.lists));
  }
  Submit(std::move(child), query, /*admitted=*/true, [groups = std::move(groups)](Query& of, SearchResult result) {
    for (size_t i = 0; i < groups.size(); ++i) {
      HitGroup& group = of.groups.groups()[groups[i]];
      group.hits = std::move(result.hits[i]);
      for (SearchHit& hit : group.hits) hit.group = ToValue(group.value);
    }
    return absl::OkStatus();
  });
}

void GroupSearch::Submit(std::unique_ptr<SearchJob> child, const QueryPtr& query, bool admitted, Take take) {
  const size_t queries = child->request.queries.size();
  const size_t hits = queries * child->request.k;
  if (absl::Status held = Hold(hits); !held.ok()) return Finish(held);
  child->done = [self = shared_from_this(), query, queries, hits,
                 take = std::move(take)](absl::StatusOr<SearchResult> result) mutable {
    absl::Status status = result.status();
    if (status.ok()) {
      {
        MutexLock lock(&self->mutex_);
        AddCosts(*result, queries, self->job_->result);
      }
      status = take(*query, *std::move(result));
    }
    self->GiveUp(hits);
    if (!status.ok()) return self->Finish(status);
    self->Continue(query);
  };
  if (admitted) return scheduler_.Resume(std::move(child));
  scheduler_.Submit(std::move(child));
}

absl::Status GroupSearch::End(Query& query) {
  if (request().part) KeepKeys(query);
  if (request().rerank > 0) {
    std::vector<SearchHit*> hits;
    for (HitGroup& group : query.groups.groups()) {
      for (SearchHit& hit : group.hits) hits.push_back(&hit);
    }
    BEBR_RETURN_IF_ERROR(Rescore(query.number, hits));
  }
  {
    MutexLock lock(&mutex_);
    job_->result.scanned_share += query.share;
  }
  std::vector<SearchHit>& hits = job_->result.hits[query.number];
  if (request().part) {
    BEBR_ASSIGN_OR_RETURN(hits, HitsOfPart(query));
  } else {
    hits = RankGroups(std::move(query.groups.groups()), request().min_score);
  }
  return CompleteHits(request(), *job_->shards, job_->target->store_view(), absl::MakeSpan(hits), job_->result_bytes);
}

void GroupSearch::KeepKeys(Query& query) {
  const auto keep = [&query](SearchHit& hit) {
    hit.key = hit.score;
    const auto rescored = query.rescored.find(RowOf(hit));
    if (rescored == query.rescored.end()) return;
    hit.score = rescored->second.candidate.score;
    hit.score_kind = rescored->second.kind;
  };
  for (HitGroup& group : query.groups.groups()) std::for_each(group.hits.begin(), group.hits.end(), keep);
  std::for_each(query.reranked.begin(), query.reranked.end(), keep);
}

absl::StatusOr<std::vector<SearchHit>> GroupSearch::HitsOfPart(Query& query) {
  const auto take = [this](absl::Span<const AttributeValue> values) {
    return TakeValues(request(), values, job_->result_bytes);
  };
  ValueGroups& grouped = job_->result.grouped[query.number];
  grouped.all = query.all && !query.groups.enough();
  return HitsOfGroups(*job_->target, request().group_by, absl::MakeSpan(query.groups.groups()),
                      std::move(query.reranked), take, grouped);
}

absl::StatusOr<std::vector<ScoredCandidate>> GroupSearch::Reranked(size_t query,
                                                                   const std::vector<Candidate>& candidates) {
  const SteadyTime begun = SteadyNow();
  BEBR_RETURN_IF_ERROR(Interrupted(request(), begun));
  auto ranked = Rerank(*job_->target, job_->shards->store(), candidates, candidates.size(), ScoringOf(query));
  rerank_us_ += std::max<int64_t>(1, absl::ToInt64Microseconds(SteadyNow() - begun));
  return ranked;
}

absl::Status GroupSearch::Rescore(size_t query, absl::Span<SearchHit* const> hits) {
  const SteadyTime begun = SteadyNow();
  BEBR_RETURN_IF_ERROR(Interrupted(request(), begun));
  std::vector<SearchHit*> estimated;
  std::vector<DocumentInShard> documents;
  for (SearchHit* hit : hits) {
    if (hit->score_kind == ScoreKind::kExact) continue;
    estimated.push_back(hit);
    documents.push_back({job_->target->parts()[hit->segment].shard, hit->id});
  }
  BEBR_ASSIGN_OR_RETURN(const auto scores,
                        ExactScores(job_->shards->store(), job_->target->store_view(), documents, ScoringOf(query)));
  for (size_t i = 0; i < estimated.size(); ++i) {
    if (!scores[i].has_value()) continue;
    estimated[i]->score = *scores[i];
    estimated[i]->score_kind = ScoreKind::kExact;
  }
  rerank_us_ += std::max<int64_t>(1, absl::ToInt64Microseconds(SteadyNow() - begun));
  return absl::OkStatus();
}

absl::Status GroupSearch::Hold(size_t hits) {
  uint64_t more = 0;
  {
    MutexLock lock(&mutex_);
    held_ += hits;
    more = held_ - std::min(held_, asked_);
    asked_ = std::max(asked_, held_);
  }
  if (more == 0 || request().take_memory == nullptr) return absl::OkStatus();
  return request().take_memory(more * HitMemory(request(), job_->version.binarizer->spec()));
}

void GroupSearch::GiveUp(size_t hits) {
  MutexLock lock(&mutex_);
  held_ -= hits;
}

void GroupSearch::Finish(const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    status_.Update(status);
  }
  StartNext();
  absl::Status outcome;
  {
    MutexLock lock(&mutex_);
    outcome = status_;
    if (++ended_ < (outcome.ok() ? request().queries.size() : begun_)) return;
  }
  if (!outcome.ok()) return job_->done(std::move(outcome));
  SearchResult& result = job_->result;
  result.timings.rerank_us = rerank_us_;
  result.documents_scanned /= result.hits.size();
  result.scanned_share /= static_cast<double>(result.hits.size());
  job_->done(std::move(result));
}

}  // namespace

void SearchGroups(std::unique_ptr<SearchJob> job, Scheduler& scheduler) {
  if (job->request.part && job->request.candidates > 0) return SearchGroupRound(std::move(job), scheduler);
  std::make_shared<GroupSearch>(std::move(job), scheduler)->Start();
}

}  // namespace bebr
