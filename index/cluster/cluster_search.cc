// Searches of a ClusterEngine.
#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
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

}  // namespace

// Searches whose lists become one, one search a version, and lists from elsewhere. What sees a kept view has the first
// search keep it for the others. Lives as long as one of them.
class ClusterEngine::FusedCall : public std::enable_shared_from_this<FusedCall> {
 public:
  FusedCall(ClusterEngine& cluster, SearchRequest request, Done done)
      : cluster_(cluster), request_(std::move(request)), done_(std::move(done)), token_(request_.view_token) {}

  void Start() {
    std::map<std::string, std::vector<size_t>> by_version;
    for (size_t q = 0; q < request_.queries.size(); ++q)
      by_version[request_.versions.empty() ? request_.version : request_.versions[q]].push_back(q);
    searches_.assign(by_version.begin(), by_version.end());
    {
      MutexLock lock(&mutex_);
      lists_.resize(request_.queries.size());
    }
    const bool keeps = request_.keep_view > absl::ZeroDuration() && token_.empty();
    Begin(0, keeps ? 1 : searches_.size());
  }

 private:
  void Begin(size_t first, size_t end) {
    left_ = end - first;
    begun_ = end;
    for (size_t i = first; i < end; ++i) {
      const auto& [version, queries] = searches_[i];
      SearchRequest of_version = request_;
      of_version.version = version;
      of_version.view_token = token_;
      of_version.lists.clear();
      of_version.queries.clear();
      for (const size_t q : queries) of_version.queries.push_back(request_.queries[q]);
      std::make_shared<SearchCall>(cluster_, std::move(of_version),
                                   [self = shared_from_this(), i](absl::StatusOr<SearchResult> found) {
                                     self->Take(self->searches_[i].second, std::move(found));
                                   })
          ->Start();
    }
  }

  void Take(const std::vector<size_t>& queries, absl::StatusOr<SearchResult> found) {
    bool failed = false;
    {
      MutexLock lock(&mutex_);
      status_.Update(Renumbered("queries", found.status(), queries));
      failed = !status_.ok();
      for (size_t i = 0; found.ok() && i < queries.size(); ++i) {
        WeightedHits& list = lists_[queries[i]];
        list.hits = std::move(found->hits[i]);
        list.weight = request_.weights.empty() ? 1.0f : request_.weights[queries[i]];
      }
      if (found.ok()) Add(*found, queries.size());
    }
    if (left_.fetch_sub(1) > 1) return;
    if (!failed && begun_ < searches_.size()) return Begin(begun_, searches_.size());
    if (failed || request_.lists.empty()) return End();
    const absl::Status detached = cluster_.Detach([self = shared_from_this()] { self->End(); });
    if (!detached.ok()) EndWith(detached);
  }

  void Add(SearchResult& found, size_t queries) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (token_.empty()) token_ = found.view_token;
    result_.documents_scanned += found.documents_scanned * queries;
    result_.scanned_share += found.scanned_share * static_cast<double>(queries);
    std::move(found.warnings.begin(), found.warnings.end(), std::back_inserter(result_.warnings));
    result_.may_be_stale |= found.may_be_stale;
    MergeTimings(found.timings, result_.timings);
    if (!found.coverage.has_value()) return;
    // Of the search that has least.
    const auto fewer = [](const Coverage& a, const Coverage& b) {
      return std::pair(a.answered, a.documents) < std::pair(b.answered, b.documents);
    };
    if (!result_.coverage.has_value() || fewer(*found.coverage, *result_.coverage)) result_.coverage = found.coverage;
  }

  // Waits for nodes where there are lists.
  void End() {
    absl::StatusOr<SearchResult> answer = Answer();
    if (answer.ok()) return done_(std::move(answer));
    EndWith(answer.status());
  }
  void EndWith(const absl::Status& error) {
    if (request_.view_token.empty()) cluster_.ReleaseView(token_);
    done_(error);
  }

  absl::StatusOr<SearchResult> Answer() {
    MutexLock lock(&mutex_);
    BEBR_RETURN_IF_ERROR(status_);
    BEBR_RETURN_IF_ERROR(AddLists());
    KeepOnce(result_.warnings);
    result_.view_token = token_;
    result_.documents_scanned /= request_.queries.size();
    result_.scanned_share /= static_cast<double>(request_.queries.size());
    result_.hits = {Fuse(std::move(lists_), request_.fusion, request_.offset, request_.k)};
    return std::move(result_);
  }

  // The hits of the lists from elsewhere, of documents that count.
  absl::Status AddLists() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (request_.lists.empty()) return absl::OkStatus();
    BEBR_ASSIGN_OR_RETURN(const auto listed, FindListed());
    for (size_t l = 0; l < request_.lists.size(); ++l) {
      const RankedList& list = request_.lists[l];
      WeightedHits& out = lists_.emplace_back();
      const size_t number = request_.queries.size() + l;
      out.weight = request_.weights.empty() ? 1.0f : request_.weights[number];
      std::set<std::string_view> seen;
      for (size_t i = 0; i < list.ids.size(); ++i) {
        const auto found = listed.find(list.ids[i]);
        if (found == listed.end() || !seen.insert(found->first).second) continue;
        SearchHit& hit = out.hits.emplace_back(found->second);
        if (!list.scores.empty()) hit.score = list.scores[i];
      }
    }
    return absl::OkStatus();
  }

  // By id, what the lists name and there is, satisfying the filter, without what is excluded.
  absl::StatusOr<std::map<std::string, SearchHit>> FindListed() {
    std::set<std::string> wanted;
    for (const RankedList& list : request_.lists) wanted.insert(list.ids.begin(), list.ids.end());
    for (const std::string& id : request_.exclude_ids) wanted.erase(id);
    if (request_.take_memory != nullptr && !wanted.empty())
      BEBR_RETURN_IF_ERROR(request_.take_memory(wanted.size() * sizeof(PageDocument)));
    BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, cluster_.InfoOf(request_.collection, request_.allow_partial));
    const std::string& first = request_.versions.empty() ? request_.version : request_.versions[0];
    uint32_t space = 0;  // of the first query
    for (const VersionInfo& version : info.versions) {
      if (version.name == (first.empty() ? info.default_version : first)) space = version.space;
    }
    const PageRequest page{.collection = request_.collection,
                           .filter = request_.filter,
                           .with_attributes = request_.with_attributes,
                           .with_codes = true,
                           .view_token = token_,
                           .deadline = request_.deadline,
                           .cancelled = request_.cancelled};
    BEBR_ASSIGN_OR_RETURN(std::vector<PageDocument> found,
                          cluster_.Find(page, {wanted.begin(), wanted.end()}, request_.allow_partial));
    std::map<std::string, SearchHit> listed;
    for (PageDocument& one : found) {
      SearchHit& hit = listed[one.document.id];
      hit.id = one.document.id;
      hit.attributes = std::move(one.document.attributes);
      // Of its codes the one in the queries' space, or else the first.
      for (const DocumentCode& code : one.codes) {
        if (hit.version.empty() || code.space == space) hit.version = code.version;
      }
    }
    return listed;
  }

  ClusterEngine& cluster_;
  const SearchRequest request_;
  Done done_;
  std::string token_;                                                  // of the view, once it is kept
  std::vector<std::pair<std::string, std::vector<size_t>>> searches_;  // a version, and its queries
  size_t begun_ = 0;                                                   // of them
  std::atomic<size_t> left_{0};
  Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);  // the first error
  std::vector<WeightedHits> lists_ ABSL_GUARDED_BY(mutex_);
  SearchResult result_ ABSL_GUARDED_BY(mutex_);
};

// With the floats of a query that is made of examples; with a view of all nodes, if one is to be kept, which the
// examples are of too.
absl::Status ClusterEngine::ResolveLike(SearchRequest& request, Done& done) {
  PageRequest seen{.collection = request.collection, .limit = 1, .view_token = request.view_token};
  if (request.keep_view > absl::ZeroDuration() && request.view_token.empty()) {
    PageRequest keeps = seen;
    keeps.keep_view = request.keep_view;
    keeps.view_owner = request.view_owner;
    BEBR_ASSIGN_OR_RETURN(const Page kept, Scroll(keeps));
    seen.view_token = request.view_token = kept.view_token;
    done = [this, token = kept.view_token, done = std::move(done)](absl::StatusOr<SearchResult> result) mutable {
      if (!result.ok()) ReleaseView(token);
      done(std::move(result));
    };
  }
  request.like->collection = request.collection;
  BEBR_ASSIGN_OR_RETURN(auto query, QueryOfExamples(*request.like, seen, request.allow_partial));
  const auto floats = std::make_shared<const std::vector<float>>(std::move(query));
  request.queries.push_back(*floats);
  request.like.reset();
  done = [floats, done = std::move(done)](absl::StatusOr<SearchResult> result) mutable { done(std::move(result)); };
  return absl::OkStatus();
}

void ClusterEngine::Search(SearchRequest request, Done done) {
  absl::Status refused = CheckFusion(request);
  if (!request.group_by.empty() && request.fusion != Fusion::kNone) refused.Update(CheckGrouping(request));
  if (refused.ok() && request.like.has_value()) refused = ResolveLike(request, done);
  if (!refused.ok()) return done(refused);
  const bool fuses = request.fusion != Fusion::kNone && !request.queries.empty();
  if (fuses) return std::make_shared<FusedCall>(*this, std::move(request), std::move(done))->Start();
  std::make_shared<SearchCall>(*this, std::move(request), std::move(done))->Start();
}

}  // namespace bebr
