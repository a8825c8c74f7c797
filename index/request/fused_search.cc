#include "index/request/fused_search.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "index/catalog/embedding.h"
#include "index/request/child_search.h"
#include "index/search/answer.h"
#include "index/search/browse.h"
#include "index/search/ranking.h"
#include "index/search/result_memory.h"

namespace bebr {
namespace {

absl::Status CheckList(const SearchRequest& request, size_t l) {
  const RankedList& list = request.lists[l];
  const std::string field = absl::StrFormat("lists[%d]", l);
  if (list.ids.size() > kMaxRankedIds) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s.ids has %d entries; the limit is %d", field, list.ids.size(), kMaxRankedIds));
  }
  for (size_t i = 0; i < list.ids.size(); ++i)
    BEBR_RETURN_IF_ERROR(ValidateId(absl::StrFormat("%s.ids[%d]", field, i), list.ids[i]));
  if (request.fusion != Fusion::kReciprocalRank && list.scores.empty() && !list.ids.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s has no scores, which this fusion puts beside those of the queries; give them, or fuse by reciprocal rank",
        field));
  }
  if (!list.scores.empty() && list.scores.size() != list.ids.size()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s has %d ids and %d scores; it is one score for each id, or none", field, list.ids.size(),
                        list.scores.size()));
  }
  for (size_t i = 0; i < list.scores.size(); ++i) {
    if (std::isfinite(list.scores[i])) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("%s.scores[%d] is %f; it must be finite", field, i, list.scores[i]));
  }
  return absl::OkStatus();
}

absl::Status CheckWeights(const SearchRequest& request) {
  const size_t lists = request.queries.size() + request.lists.size();
  if (!request.weights.empty() && request.weights.size() != lists) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "weights has %d entries; it is one for each of the %d queries, then for each of the %d lists, or "
        "none",
        request.weights.size(), request.queries.size(), request.lists.size()));
  }
  for (size_t i = 0; i < request.weights.size(); ++i) {
    if (std::isfinite(request.weights[i]) && request.weights[i] > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("weights[%d] is %f; it must be finite and more than 0", i, request.weights[i]));
  }
  return absl::OkStatus();
}

// A fused search under way. Lives as long as one of its searches.
class FusedSearch : public std::enable_shared_from_this<FusedSearch> {
 public:
  FusedSearch(SearchRequest request, const PinnedView& pinned, Scheduler& scheduler,
              absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done)
      : versions_(std::move(request.versions)),
        lists_(std::move(request.lists)),
        weights_(std::move(request.weights)),
        request_(std::move(request)),
        pinned_(pinned),
        scheduler_(scheduler),
        done_(std::move(done)) {}

  void Start() {
    if (absl::Status status = Prepare(); !status.ok()) {
      jobs_.clear();  // each of them holds this search
      return done_(std::move(status));
    }
    left_ = jobs_.size();
    for (auto& job : std::exchange(jobs_, {})) scheduler_.Submit(std::move(job));
  }

 private:
  // The searches, one for each version.
  absl::Status Prepare();
  absl::Status PrepareVersion(const std::string& version, const std::vector<size_t>& queries);
  void Take(const std::vector<size_t>& queries, absl::StatusOr<SearchResult> result);
  absl::StatusOr<SearchResult> Answer();
  // The hits of the lists from elsewhere, of documents that count.
  absl::Status AddLists(std::vector<WeightedHits>& lists);
  // By id, what the lists name and the view has, satisfying the filter, without what is excluded.
  absl::StatusOr<absl::flat_hash_map<std::string_view, SelectedRow>> FindListed() const;
  float WeightOf(size_t list) const { return weights_.empty() ? 1.0f : weights_[list]; }

  const std::vector<std::string> versions_;
  const std::vector<RankedList> lists_;
  const std::vector<float> weights_;
  const SearchRequest request_;  // without those
  const PinnedView pinned_;
  Scheduler& scheduler_;
  absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done_;
  std::vector<std::unique_ptr<SearchJob>> jobs_;
  std::shared_ptr<const Filter> filter_;
  uint32_t space_ = 0;      // of the first query
  uint64_t hit_bytes_ = 0;  // of memory

  Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);  // the first error
  SearchResult result_ ABSL_GUARDED_BY(mutex_);  // a list for each query
  std::atomic<size_t> left_{0};                  // searches
};

absl::Status FusedSearch::Prepare() {
  BEBR_RETURN_IF_ERROR(ValidateCount("queries", request_.queries.size(), kMaxQueriesPerRequest));
  std::map<std::string, std::vector<size_t>> by_version;
  for (size_t q = 0; q < request_.queries.size(); ++q) {
    const std::string& name = versions_.empty() ? request_.version : versions_[q];
    BEBR_ASSIGN_OR_RETURN(const Version* version, pinned_.manifest->FindVersion(name));
    BEBR_RETURN_IF_ERROR(CheckEmbedding(absl::StrFormat("queries[%d]", q), request_.queries[q], *version));
    if (q == 0) space_ = version->space;
    by_version[version->name].push_back(q);
  }
  for (const auto& [version, queries] : by_version) BEBR_RETURN_IF_ERROR(PrepareVersion(version, queries));
  MutexLock lock(&mutex_);
  result_.hits.resize(request_.queries.size());
  return absl::OkStatus();
}

absl::Status FusedSearch::PrepareVersion(const std::string& version, const std::vector<size_t>& queries) {
  SearchRequest request = request_;
  request.version = version;
  request.queries.clear();
  for (const size_t q : queries) request.queries.push_back(request_.queries[q]);
  BEBR_ASSIGN_OR_RETURN(auto job, PrepareSearch(std::move(request), pinned_.manifest, pinned_.shards, pinned_.view));
  SetProbe(pinned_, *job);
  // A list has all that is ranked; what an answer has comes at the end.
  job->request.k = std::max(WantedCount(job->request), job->request.rerank);
  job->request.offset = 0;
  job->request.with_attributes = false;
  job->request.max_result_bytes = 0;
  job->done = [self = shared_from_this(), queries](absl::StatusOr<SearchResult> result) {
    self->Take(queries, std::move(result));
  };
  filter_ = job->filter;
  hit_bytes_ = std::max(hit_bytes_, HitMemory(job->request, job->version.binarizer->spec()));
  jobs_.push_back(std::move(job));
  return absl::OkStatus();
}

void FusedSearch::Take(const std::vector<size_t>& queries, absl::StatusOr<SearchResult> result) {
  bool failed = false;
  {
    MutexLock lock(&mutex_);
    status_.Update(result.status());
    failed = !status_.ok();
    if (result.ok()) {
      for (size_t i = 0; i < queries.size(); ++i) result_.hits[queries[i]] = std::move(result->hits[i]);
      AddCosts(*result, queries.size(), result_);
      result_.scanned_share += result->scanned_share * static_cast<double>(queries.size());
      result_.timings.rerank_us += result->timings.rerank_us;
      std::move(result->warnings.begin(), result->warnings.end(), std::back_inserter(result_.warnings));
    }
  }
  if (left_.fetch_sub(1) > 1) return;
  const size_t hits = request_.queries.size() * std::max(WantedCount(request_), request_.rerank);
  if (failed || (lists_.empty() && hits <= kHeavyCandidates)) return done_(Answer());
  scheduler_.RunHeavy([self = shared_from_this()] { self->done_(self->Answer()); });
}

absl::StatusOr<SearchResult> FusedSearch::Answer() {
  SearchResult result;
  {
    MutexLock lock(&mutex_);
    if (!status_.ok()) return status_;
    result = std::move(result_);
  }
  KeepOnce(result.warnings);
  std::vector<WeightedHits> lists;
  for (size_t q = 0; q < result.hits.size(); ++q) lists.push_back({std::move(result.hits[q]), WeightOf(q)});
  BEBR_RETURN_IF_ERROR(AddLists(lists));
  result.documents_scanned /= request_.queries.size();
  result.scanned_share /= static_cast<double>(request_.queries.size());
  result.hits = {Fuse(std::move(lists), request_.fusion, request_.offset, request_.k)};
  std::atomic<uint64_t> bytes{0};
  BEBR_RETURN_IF_ERROR(
      CompleteHits(request_, *pinned_.shards, pinned_.view->store.get(), absl::MakeSpan(result.hits.front()), bytes));
  return result;
}

absl::StatusOr<absl::flat_hash_map<std::string_view, SelectedRow>> FusedSearch::FindListed() const {
  absl::flat_hash_set<std::string_view> wanted;
  for (const RankedList& list : lists_) wanted.insert(list.ids.begin(), list.ids.end());
  for (const std::string& id : request_.exclude_ids) wanted.erase(id);
  const std::vector<std::string_view> ids(wanted.begin(), wanted.end());
  BEBR_ASSIGN_OR_RETURN(const std::vector<SelectedRow> rows,
                        SelectIds(*pinned_.shards, pinned_.view, ids, filter_.get(),
                                  [this] { return Interrupted(request_, SteadyNow()); }));
  absl::flat_hash_map<std::string_view, SelectedRow> found;
  for (const SelectedRow& row : rows) found.emplace(row.id, row);
  return found;
}

absl::Status FusedSearch::AddLists(std::vector<WeightedHits>& lists) {
  size_t ids = 0;
  for (const RankedList& list : lists_) ids += list.ids.size();
  if (request_.take_memory != nullptr && ids > 0) BEBR_RETURN_IF_ERROR(request_.take_memory(ids * hit_bytes_));
  BEBR_ASSIGN_OR_RETURN(const auto found, FindListed());
  for (size_t l = 0; l < lists_.size(); ++l) {
    const RankedList& list = lists_[l];
    WeightedHits& out = lists.emplace_back();
    out.weight = WeightOf(request_.queries.size() + l);
    absl::flat_hash_set<std::string_view> seen;
    for (size_t i = 0; i < list.ids.size(); ++i) {
      const auto row = found.find(std::string_view(list.ids[i]));
      if (row == found.end() || !seen.insert(row->first).second) continue;
      SearchHit& hit = out.hits.emplace_back();
      hit.id = list.ids[i];
      if (!list.scores.empty()) hit.score = list.scores[i];
      hit.version = WriterOf(row->second, space_, *pinned_.manifest);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckFusion(const SearchRequest& request) {
  if (request.fusion == Fusion::kNone) {
    if (request.versions.empty() && request.lists.empty() && request.weights.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrFormat("%s is set without fusion; set it too", !request.versions.empty() ? "versions"
                                                                : !request.lists.empty()  ? "lists"
                                                                                          : "weights"));
  }
  if (!request.versions.empty() && request.versions.size() != request.queries.size()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("versions has %d entries; it is one for each of the %d queries, or none",
                        request.versions.size(), request.queries.size()));
  }
  if (request.lists.size() > kMaxRankedLists) {
    return absl::InvalidArgumentError(
        absl::StrFormat("lists has %d entries; the limit is %d", request.lists.size(), kMaxRankedLists));
  }
  for (size_t l = 0; l < request.lists.size(); ++l) BEBR_RETURN_IF_ERROR(CheckList(request, l));
  return CheckWeights(request);
}

void KeepOnce(std::vector<std::string>& warnings) {
  std::sort(warnings.begin(), warnings.end());
  warnings.erase(std::unique(warnings.begin(), warnings.end()), warnings.end());
}

void SearchFused(SearchRequest request, const PinnedView& pinned, Scheduler& scheduler,
                 absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) {
  std::make_shared<FusedSearch>(std::move(request), pinned, scheduler, std::move(done))->Start();
}

}  // namespace bebr
