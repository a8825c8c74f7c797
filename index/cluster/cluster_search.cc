// Searches of a ClusterEngine.
#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "index/cluster/cluster_engine_impl.h"
#include "index/cluster/merge.h"
#include "index/cluster/renumbered.h"
#include "index/cluster/search_call.h"
#include "index/request/fused_search.h"
#include "index/search/ranking.h"
#include "index/search/search_job.h"

namespace bebr {
namespace {

using Done = absl::AnyInvocable<void(absl::StatusOr<SearchResult>)>;

absl::Status NotCarried(std::string_view what, std::string_view advice) {
  return absl::UnimplementedError(
      absl::StrFormat("%s: a gateway over several nodes does not carry it yet; %s", what, advice));
}

// Of what a search asks for, what is not carried.
absl::Status Refusal(const SearchRequest& request) {
  const bool views = request.keep_view > absl::ZeroDuration() || !request.view_token.empty();
  if (!request.group_by.empty() && request.fusion != Fusion::kNone) return CheckGrouping(request);
  if (!request.lists.empty()) return NotCarried("lists", "fuse what the search finds with them yourself");
  if (request.like.has_value() && views)
    return NotCarried("like with keep_view_s or view_token", "leave these out, or send a query");
  if (request.fusion != Fusion::kNone && views)
    return NotCarried("fusion with keep_view_s or view_token", "leave these out");
  if (request.allow_partial && views)
    return NotCarried("allow_partial with keep_view_s or view_token", "leave one of them out");
  if (request.fusion != Fusion::kNone && request.allow_partial)
    return NotCarried("fusion with allow_partial", "leave one of them out");
  if (request.like.has_value() && request.allow_partial)
    return NotCarried("like with allow_partial", "leave one of them out, or send a query");
  return absl::OkStatus();
}

}  // namespace

// Searches whose lists become one, one search a version. Lives as long as one of them.
class ClusterEngine::FusedCall : public std::enable_shared_from_this<FusedCall> {
 public:
  FusedCall(ClusterEngine& cluster, SearchRequest request, Done done)
      : cluster_(cluster), request_(std::move(request)), done_(std::move(done)) {}

  void Start() {
    std::map<std::string, std::vector<size_t>> by_version;
    for (size_t q = 0; q < request_.queries.size(); ++q)
      by_version[request_.versions.empty() ? request_.version : request_.versions[q]].push_back(q);
    {
      MutexLock lock(&mutex_);
      lists_.resize(request_.queries.size());
    }
    left_ = by_version.size();
    for (const auto& [version, queries] : by_version) {
      SearchRequest of_version = request_;
      of_version.version = version;
      of_version.queries.clear();
      for (const size_t q : queries) of_version.queries.push_back(request_.queries[q]);
      std::make_shared<SearchCall>(cluster_, std::move(of_version),
                                   [self = shared_from_this(), queries = queries](absl::StatusOr<SearchResult> found) {
                                     self->Take(queries, std::move(found));
                                   })
          ->Start();
    }
  }

 private:
  void Take(const std::vector<size_t>& queries, absl::StatusOr<SearchResult> found) {
    {
      MutexLock lock(&mutex_);
      status_.Update(Renumbered("queries", found.status(), queries));
      for (size_t i = 0; found.ok() && i < queries.size(); ++i) {
        WeightedHits& list = lists_[queries[i]];
        list.hits = std::move(found->hits[i]);
        list.weight = request_.weights.empty() ? 1.0f : request_.weights[queries[i]];
      }
      if (found.ok()) {
        result_.documents_scanned += found->documents_scanned * queries.size();
        result_.scanned_share += found->scanned_share * static_cast<double>(queries.size());
        std::move(found->warnings.begin(), found->warnings.end(), std::back_inserter(result_.warnings));
        result_.may_be_stale |= found->may_be_stale;
        MergeTimings(found->timings, result_.timings);
      }
    }
    if (left_.fetch_sub(1) == 1) done_(Answer());
  }

  absl::StatusOr<SearchResult> Answer() {
    MutexLock lock(&mutex_);
    BEBR_RETURN_IF_ERROR(status_);
    KeepOnce(result_.warnings);
    result_.documents_scanned /= request_.queries.size();
    result_.scanned_share /= static_cast<double>(request_.queries.size());
    result_.hits = {Fuse(std::move(lists_), request_.fusion, request_.offset, request_.k)};
    return std::move(result_);
  }

  ClusterEngine& cluster_;
  const SearchRequest request_;
  Done done_;
  std::atomic<size_t> left_{0};
  Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);  // the first error
  std::vector<WeightedHits> lists_ ABSL_GUARDED_BY(mutex_);
  SearchResult result_ ABSL_GUARDED_BY(mutex_);
};

void ClusterEngine::Search(SearchRequest request, Done done) {
  absl::Status refused = CheckFusion(request);
  refused.Update(Refusal(request));
  if (!refused.ok()) return done(refused);
  if (request.like.has_value()) {
    request.like->collection = request.collection;
    auto query = Recommend(*request.like);
    if (!query.ok()) return done(query.status());
    const auto floats = std::make_shared<const std::vector<float>>(*std::move(query));
    request.queries.push_back(*floats);
    request.like.reset();
    done = [floats, done = std::move(done)](absl::StatusOr<SearchResult> result) mutable { done(std::move(result)); };
  }
  const bool fuses = request.fusion != Fusion::kNone && !request.queries.empty();
  if (fuses) return std::make_shared<FusedCall>(*this, std::move(request), std::move(done))->Start();
  std::make_shared<SearchCall>(*this, std::move(request), std::move(done))->Start();
}

}  // namespace bebr
