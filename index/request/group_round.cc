#include "index/request/group_round.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/request/child_search.h"
#include "index/search/answer.h"
#include "index/search/grouping.h"
#include "index/search/ranking.h"
#include "index/search/rerank.h"
#include "index/search/scan_filters.h"

namespace bebr {
namespace {

constexpr size_t kScansAtATime = 64;

// A round under way: some scans at a time. Lives as long as these.
class GroupRound : public std::enable_shared_from_this<GroupRound> {
 public:
  GroupRound(std::unique_ptr<SearchJob> job, Scheduler& scheduler) : job_(std::move(job)), scheduler_(scheduler) {}

  void Start() {
    if (absl::Status status = Prepare(); !status.ok()) return job_->done(std::move(status));
    Next();
  }

 private:
  // What is scanned for: of a query the documents of one value, or those with other values than are known.
  struct Scan {
    size_t query = 0;
    std::shared_ptr<const Filter> filter;
  };

  const SearchRequest& request() const { return job_->request; }
  absl::Status Prepare();
  void AddScans(size_t query, const std::vector<AttributeValue>& values, const ValueKinds& kinds);
  // Begins the next scans, or answers.
  void Next();
  void Take(SearchResult found, size_t first);
  absl::Status Answer();
  absl::Status Rescore(size_t query, absl::Span<SearchHit> hits);

  const std::unique_ptr<SearchJob> job_;
  Scheduler& scheduler_;
  std::vector<Scan> scans_;
  size_t begun_ = 0;  // of them
};

absl::Status GroupRound::Prepare() {
  BEBR_RETURN_IF_ERROR(CheckGroupAttribute(*job_->manifest, request().group_by));
  const size_t wanted = request().group_values.size(), queries = request().queries.size();
  if (wanted != queries && (wanted != 0 || request().group_round == 0)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("group_values has %d entries; it is one for each of the %d queries", wanted, queries));
  }
  Pin(*job_);
  SearchResult& result = job_->result;
  AddPartFacts(*job_, job_->target->view(), result);
  result.rerank = request().rerank;
  result.documents = job_->target->live_rows();
  result.hits.resize(queries);
  result.grouped.resize(queries);
  const ValueKinds kinds = KindsOf(job_->target->view(), request().group_by);
  for (size_t q = 0; q < queries; ++q)
    AddScans(q, wanted == 0 ? std::vector<AttributeValue>() : request().group_values[q], kinds);
  return absl::OkStatus();
}

void GroupRound::AddScans(size_t query, const std::vector<AttributeValue>& values, const ValueKinds& kinds) {
  std::vector<AttributeScalar> scalars;
  for (const AttributeValue& value : values) scalars.push_back(ToScalar(value));
  if (request().group_round > 0) {
    // Alike for all queries that know none, so that it is evaluated once.
    const bool same = values.empty() && !scans_.empty();
    scans_.push_back(
        {query, same ? scans_.front().filter
                     : Filter::WithOtherValue(job_->filter.get(), request().group_by, scalars, kinds.lists)});
    return;
  }
  for (const AttributeScalar& value : scalars)
    scans_.push_back({query, Filter::WithValue(job_->filter.get(), request().group_by, value, kinds.lists)});
}

void GroupRound::Next() {
  if (begun_ == scans_.size()) {
    absl::Status status = Answer();
    return status.ok() ? job_->done(std::move(job_->result)) : job_->done(std::move(status));
  }
  const size_t first = begun_;
  begun_ += std::min({scans_.size() - first, kScansAtATime, MostFilters(job_->target->view())});
  std::vector<absl::Span<const float>> queries;
  for (size_t i = first; i < begun_; ++i) queries.push_back(request().queries[scans_[i].query]);
  const size_t round = request().group_round;
  auto child = ChildOf(*job_, std::move(queries),
                       round > 0 ? HitsOfRound(request(), request().rerank, round) : request().group_size);
  child->request.part = true;
  child->request.take_memory = request().take_memory;
  for (size_t i = first; i < begun_; ++i) child->filters.push_back(scans_[i].filter);
  child->done = [self = shared_from_this(), first](absl::StatusOr<SearchResult> found) {
    if (!found.ok()) return self->job_->done(found.status());
    self->Take(*std::move(found), first);
    self->Next();
  };
  // Where too many wait the first ones are refused; what comes later is not.
  if (first > 0) return scheduler_.Resume(std::move(child));
  scheduler_.Submit(std::move(child));
}

void GroupRound::Take(SearchResult found, size_t first) {
  SearchResult& result = job_->result;
  AddCosts(found, found.hits.size(), result);
  result.chosen = found.chosen;
  result.scanned_share += found.scanned_share * static_cast<double>(found.hits.size());
  for (size_t i = 0; i < found.hits.size(); ++i) {
    std::vector<SearchHit>& hits = result.hits[scans_[first + i].query];
    std::move(found.hits[i].begin(), found.hits[i].end(), std::back_inserter(hits));
  }
}

absl::Status GroupRound::Answer() {
  SearchResult& result = job_->result;
  result.documents_scanned /= result.hits.size();
  result.scanned_share /= static_cast<double>(std::max<size_t>(1, scans_.size()));
  for (size_t q = 0; q < result.hits.size(); ++q) {
    std::vector<SearchHit>& hits = result.hits[q];
    // A document of several values is the same each time.
    absl::flat_hash_set<std::pair<uint32_t, uint32_t>> seen;
    std::erase_if(hits, [&](const SearchHit& hit) { return !seen.emplace(hit.segment, hit.row).second; });
    for (SearchHit& hit : hits) hit.key = hit.score;
    if (request().rerank > 0) BEBR_RETURN_IF_ERROR(Rescore(q, absl::MakeSpan(hits)));
    ValueGroups& grouped = result.grouped[q];
    grouped.all = true;
    for (const SearchHit& hit : hits) {
      std::vector<AttributeValue>& values = grouped.of_hit.emplace_back();
      for (AttributeScalar& value : GroupsOf(*job_->target, hit.segment, hit.row, request().group_by))
        values.push_back(ToValue(std::move(value)));
      BEBR_RETURN_IF_ERROR(TakeValues(request(), values, job_->result_bytes));
    }
    BEBR_RETURN_IF_ERROR(
        CompleteHits(request(), *job_->shards, job_->target->store_view(), absl::MakeSpan(hits), job_->result_bytes));
  }
  return absl::OkStatus();
}

absl::Status GroupRound::Rescore(size_t query, absl::Span<SearchHit> hits) {
  const SteadyTime begun = SteadyNow();
  std::vector<DocumentInShard> documents;
  for (const SearchHit& hit : hits) documents.push_back({job_->target->parts()[hit.segment].shard, hit.id});
  const ExactScoring scoring{request().queries[query], job_->version.embedding, job_->manifest->store_floats,
                             job_->version.binarizer->metric(), [this] { return Interrupted(request(), SteadyNow()); }};
  BEBR_ASSIGN_OR_RETURN(const auto scores,
                        ExactScores(job_->shards->store(), job_->target->store_view(), documents, scoring));
  for (size_t i = 0; i < hits.size(); ++i) {
    if (!scores[i].has_value()) continue;
    hits[i].score = *scores[i];
    hits[i].score_kind = ScoreKind::kExact;
  }
  job_->result.timings.rerank_us += std::max<int64_t>(1, absl::ToInt64Microseconds(SteadyNow() - begun));
  return absl::OkStatus();
}

}  // namespace

void SearchGroupRound(std::unique_ptr<SearchJob> job, Scheduler& scheduler) {
  std::make_shared<GroupRound>(std::move(job), scheduler)->Start();
}

}  // namespace bebr
