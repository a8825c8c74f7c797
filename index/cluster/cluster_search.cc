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
#include "index/request/fused_search.h"
#include "index/search/ranking.h"

namespace bebr {
namespace {

using Done = absl::AnyInvocable<void(absl::StatusOr<SearchResult>)>;

// Of the time until the deadline, what the nodes have of it where their gateway is to answer without the last of them.
constexpr double kShareOfNodes = 0.9;

absl::Status NotCarried(std::string_view what, std::string_view advice) {
  return absl::UnimplementedError(
      absl::StrFormat("%s: a gateway over several nodes does not carry it yet; %s", what, advice));
}

// Of what a search asks for, what is not carried.
absl::Status Refusal(const SearchRequest& request) {
  const bool views = request.keep_view > absl::ZeroDuration() || !request.view_token.empty();
  if (!request.group_by.empty()) return NotCarried("group_by", "group the hits yourself");
  if (request.probe > 0 || request.probe_recall > 0)
    return NotCarried("probe and probe_recall", "leave them out, which scores all documents");
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

// Whether an answer may do without the node that gave this error.
bool IsMissing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsInternal(status) ||
         absl::IsDataLoss(status) || absl::IsUnknown(status);
}

}  // namespace

// A search under way on all nodes. Lives as long as one of their calls.
class ClusterEngine::SearchCall : public std::enable_shared_from_this<SearchCall> {
 public:
  SearchCall(ClusterEngine& cluster, SearchRequest request, Done done)
      : cluster_(cluster),
        request_(std::move(request)),
        done_(std::move(done)),
        answers_(cluster.members_.size(), absl::UnknownError("")),
        left_(cluster.members_.size()) {}

  void Start() {
    const std::vector<std::string> tokens = cluster_.TokensOf(request_.view_token);
    SearchRequest part = request_;
    part.part = true;
    part.strict = false;
    part.fusion = Fusion::kNone;
    part.versions.clear();
    part.weights.clear();
    if (part.allow_partial && part.deadline != absl::InfiniteDuration()) {
      const SteadyTime now = SteadyNow();
      part.deadline = now + kShareOfNodes * (part.deadline - now);
    }
    for (size_t node = 0; node < answers_.size(); ++node) {
      // Where an answer may be partial a node that is known not to answer is not waited for.
      const absl::Status state = part.allow_partial ? cluster_.StateOf(node) : absl::OkStatus();
      if (!state.ok()) {
        Take(node, state);
        continue;
      }
      SearchRequest own = part;
      own.view_token = tokens[node];
      cluster_.members_[node].node->engine().Search(
          std::move(own), [self = shared_from_this(), node](absl::StatusOr<SearchResult> answer) {
            self->Take(node, std::move(answer));
          });
    }
  }

 private:
  void Take(size_t node, absl::StatusOr<SearchResult> answer) {
    // What follows counts on a list for every query.
    const size_t queries = request_.queries.size();
    if (answer.ok() && answer->hits.size() != queries)
      answer = absl::InternalError(absl::StrFormat("it answered %d queries of %d", answer->hits.size(), queries));
    answers_[node] = std::move(answer);
    if (left_.fetch_sub(1) == 1) done_(Answer());
  }

  absl::StatusOr<SearchResult> Answer() {
    std::vector<std::string> kept;
    for (const auto& answer : answers_) kept.push_back(answer.ok() ? answer->view_token : "");
    const std::string token = JoinTokens(kept);
    absl::StatusOr<SearchResult> result = Merged();
    if (!result.ok() && request_.view_token.empty()) cluster_.ReleaseView(token);
    if (result.ok()) result->view_token = token;
    return result;
  }

  absl::StatusOr<SearchResult> Merged() {
    const bool some = std::any_of(answers_.begin(), answers_.end(), [](const auto& answer) { return answer.ok(); });
    std::vector<absl::Status> errors;
    std::vector<SearchResult> parts;
    for (auto& answer : answers_) {
      const bool left_out = request_.allow_partial && some && IsMissing(answer.status());
      errors.push_back(left_out ? absl::OkStatus() : answer.status());
      if (answer.ok()) parts.push_back(*std::move(answer));
    }
    BEBR_RETURN_IF_ERROR(cluster_.FirstError(errors));
    const auto answered = static_cast<uint32_t>(parts.size());
    BEBR_ASSIGN_OR_RETURN(SearchResult result, MergeSearch(request_, std::move(parts)));
    if (request_.allow_partial)
      result.coverage = Coverage{static_cast<uint32_t>(answers_.size()), answered, result.documents};
    return result;
  }

  ClusterEngine& cluster_;
  const SearchRequest request_;
  Done done_;
  std::vector<absl::StatusOr<SearchResult>> answers_;  // each written by one node's answer
  std::atomic<size_t> left_;
};

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
