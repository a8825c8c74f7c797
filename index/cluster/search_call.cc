#include "index/cluster/search_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/status_macros.h"
#include "index/cluster/merge.h"

namespace bebr {
namespace {

// Of the time until the deadline, what the nodes have of it where their gateway is to answer without the last of them.
constexpr double kShareOfNodes = 0.9, kShareOfFirst = 0.5;  // the second where they are asked again

constexpr size_t kMostTries = 3;  // of a search in whose midst a version was promoted

bool Probes(const SearchRequest& request) { return request.probe > 0 || request.probe_recall > 0; }

// Of an answer that lacks what nodes of an older release do not know.
absl::Status OlderRelease(const char* what) {
  return absl::UnavailableError(absl::StrFormat(
      "%s: it runs an older release, whose part of such a search is none; try again when it is upgraded", what));
}

// Each hit has its values.
absl::Status CheckGroups(const SearchResult& answer) {
  for (size_t q = 0; q < answer.grouped.size(); ++q) {
    if (answer.grouped[q].of_hit.size() == answer.hits[q].size()) continue;
    return absl::InternalError(absl::StrFormat("query %d has %d hits, and values of %d", q, answer.hits[q].size(),
                                               answer.grouped[q].of_hit.size()));
  }
  return absl::OkStatus();
}

}  // namespace

ClusterEngine::SearchCall::SearchCall(ClusterEngine& cluster, SearchRequest request, Done done, size_t tries)
    : cluster_(cluster),
      tries_(tries),
      request_(std::move(request)),
      done_(std::move(done)),
      part_(request_),
      tokens_(cluster.TokensOf(request_.view_token)),
      kept_(cluster.members_.size()),
      left_out_(cluster.members_.size(), false),
      answers_(cluster.members_.size()) {
  part_.part = true;
  part_.strict = false;
  part_.fusion = Fusion::kNone;
  part_.versions.clear();
  part_.weights.clear();
  part_.lists.clear();
  // A view that was kept without a node is without it.
  for (size_t node = 0; node < tokens_.size(); ++node)
    left_out_[node] = !JoinTokens(tokens_).empty() && tokens_[node].empty();
}

void ClusterEngine::SearchCall::Start() {
  const absl::Status whole = request_.allow_partial ? absl::OkStatus() : cluster_.CheckWhole(tokens_);
  if (!whole.ok()) return End(whole);
  if (!request_.explain && !Probes(request_)) return AskForHits();
  SearchRequest count = part_;
  count.count_groups = true;
  if (ChoosesGroups()) {
    // What comes then is asked for round by round: where nothing is counted, let it be little.
    count.queries.resize(std::min<size_t>(1, count.queries.size()));
    count.group_by.clear();
    count.k = 1;
    count.rerank = count.candidates = 0;
    count.collection_rerank = count.with_attributes = false;
  }
  AskAll(count, &SearchCall::TakeCounts);
}

void ClusterEngine::SearchCall::AskForHits() {
  if (ChoosesGroups()) return StartChosen();
  AskAll(part_, &SearchCall::TakeHits);
}

void ClusterEngine::SearchCall::AskAll(const SearchRequest& request, Next next) {
  std::vector<std::optional<SearchRequest>> requests(answers_.size());
  for (size_t node = 0; node < requests.size(); ++node) {
    if (!left_out_[node]) requests[node] = request;
  }
  Ask(std::move(requests), next);
}

void ClusterEngine::SearchCall::Ask(std::vector<std::optional<SearchRequest>> requests, Next next) {
  size_t asked = 0;
  for (size_t node = 0; node < requests.size(); ++node) {
    answers_[node].reset();
    asked += requests[node].has_value() ? 1 : 0;
  }
  waiting_ = asked;
  for (size_t node = 0; node < requests.size(); ++node) {
    if (!requests[node].has_value()) continue;
    SearchRequest own = *std::move(requests[node]);
    const size_t queries = own.queries.size();
    // Where an answer may be partial a node that is known not to answer is not waited for.
    if (const absl::Status state = own.allow_partial ? cluster_.StateOf(node) : absl::OkStatus(); !state.ok()) {
      Take(node, queries, state, next);
      continue;
    }
    if (own.allow_partial && own.deadline != absl::InfiniteDuration()) {
      const SteadyTime now = SteadyNow();
      // What comes behind the first of several rounds needs time too.
      const bool last = own.group_by.empty() || (!own.group_values.empty() && own.group_round == 0);
      const bool first = own.count_groups || !last;
      own.deadline = now + (first ? kShareOfFirst : kShareOfNodes) * (own.deadline - now);
    }
    own.view_token = tokens_[node];
    cluster_.members_[node].node->engine().Search(
        std::move(own), [self = shared_from_this(), node, queries, next](absl::StatusOr<SearchResult> answer) {
          self->Take(node, queries, std::move(answer), next);
        });
  }
}

void ClusterEngine::SearchCall::Take(size_t node, size_t queries, absl::StatusOr<SearchResult> answer, Next next) {
  // What follows counts on a list for every query.
  if (answer.ok() && answer->hits.size() != queries)
    answer = absl::InternalError(absl::StrFormat("it answered %d queries of %d", answer->hits.size(), queries));
  answers_[node] = std::move(answer);
  if (waiting_.fetch_sub(1) == 1) (this->*next)();
}

absl::Status ClusterEngine::SearchCall::CheckAnswers() {
  bool some = false;  // nodes are left that answer
  for (size_t node = 0; node < answers_.size(); ++node)
    some |= answers_[node].has_value() ? answers_[node]->ok() : !left_out_[node];
  std::vector<size_t> nodes;
  std::vector<absl::Status> errors;
  for (size_t node = 0; node < answers_.size(); ++node) {
    if (!answers_[node].has_value()) continue;
    const absl::StatusOr<SearchResult>& answer = *answers_[node];
    if (answer.ok() && !answer->view_token.empty()) kept_[node] = tokens_[node] = answer->view_token;
    left_out_[node] = request_.allow_partial && some && SaysNothing(answer.status());
    nodes.push_back(node);
    errors.push_back(left_out_[node] ? absl::OkStatus() : answer.status());
  }
  absl::Status error = cluster_.FirstError(nodes, errors);
  if (error.ok()) return CheckVersion();
  // What the first round has let pass is refused where the version has gone, or is another one.
  moved_ = searched_.has_value() &&
           (absl::IsNotFound(error) || absl::IsFailedPrecondition(error) || absl::IsInvalidArgument(error));
  return error;
}

absl::Status ClusterEngine::SearchCall::CheckVersion() {
  for (const auto& answer : answers_) {
    // Nodes of an older release do not tell.
    if (!answer.has_value() || !answer->ok() || (*answer)->version.empty()) continue;
    const auto of_node = std::pair((*answer)->version, (*answer)->model_checksum);
    if (!searched_.has_value()) searched_ = of_node;
    if (*searched_ == of_node) continue;
    moved_ = true;
    return absl::UnavailableError(absl::StrFormat(
        "nodes search for different versions, \"%s\" and \"%s\", as they do while a version is promoted or is new: try "
        "again, or name the version",
        searched_->first, of_node.first));
  }
  // All rounds are of one version, whatever the collection's default is then.
  if (searched_.has_value()) part_.version = searched_->first;
  if (searched_.has_value() && part_.model_checksum == 0) part_.model_checksum = searched_->second;
  return absl::OkStatus();
}

std::vector<SearchResult> ClusterEngine::SearchCall::TakeAnswers() {
  std::vector<SearchResult> answers;
  for (auto& answer : answers_) {
    if (answer.has_value() && answer->ok()) answers.push_back(**std::move(answer));
  }
  return answers;
}

void ClusterEngine::SearchCall::TakeCounts() {
  if (absl::Status error = CheckAnswers(); !error.ok()) return End(std::move(error));
  const bool counted = std::any_of(answers_.begin(), answers_.end(), [](const auto& answer) {
    return answer.has_value() && answer->ok() && !(*answer)->documents_by_group.empty();
  });
  // Without groups all is scored, and this is the answer.
  if (!counted) return ChoosesGroups() ? AskForHits() : TakeHits();
  if (absl::Status error = SumCounts(); !error.ok()) return End(std::move(error));
  AskForHits();
}

absl::Status ClusterEngine::SearchCall::SumCounts() {
  std::vector<uint64_t>& sum = part_.documents_by_group;
  part_.probe = 0;
  for (size_t node = 0; node < answers_.size(); ++node) {
    if (!answers_[node].has_value() || !answers_[node]->ok()) continue;
    const SearchResult& answer = **answers_[node];
    if (sum.empty()) sum.resize(answer.documents_by_group.size());
    if (answer.documents_by_group.size() != sum.size() || sum.empty()) {
      return absl::UnavailableError(
          "nodes have different groups of documents, as they do while a version, or their release, changes: try again");
    }
    for (size_t g = 0; g < sum.size(); ++g) sum[g] += answer.documents_by_group[g];
    // Of the shares that reach the recall, as each node knows of its own documents, the one that does so on all.
    part_.probe = std::max(part_.probe, answer.probe);
  }
  part_.probe_recall = 0;
  return absl::OkStatus();
}

absl::Status ClusterEngine::SearchCall::CheckParts() const {
  for (size_t node = 0; node < answers_.size(); ++node) {
    if (!answers_[node].has_value() || !answers_[node]->ok()) continue;
    const SearchResult& answer = **answers_[node];
    const char* lacks = nullptr;
    // Further hits of known values say no share.
    if (Probes(request_) && merged_.empty() && answer.scanned_share == 0) lacks = "probe";
    if (!request_.group_by.empty() && answer.grouped.size() != answer.hits.size()) lacks = "group_by";
    if (ChoosesGroups() && answer.version.empty()) lacks = "group_by with candidates";
    if (lacks != nullptr) return cluster_.OfNode(node, OlderRelease(lacks));
    if (const absl::Status wrong = CheckGroups(answer); !wrong.ok()) return cluster_.OfNode(node, wrong);
  }
  return absl::OkStatus();
}

void ClusterEngine::SearchCall::TakeHits() {
  if (absl::Status error = CheckAnswers(); !error.ok()) return End(std::move(error));
  if (absl::Status error = CheckParts(); !error.ok()) return End(std::move(error));
  if (request_.group_by.empty()) return End(MergeSearch(request_, TakeAnswers()));
  if (absl::Status error = StartGroups(); !error.ok()) return End(std::move(error));
  AskForMissing();
}

void ClusterEngine::SearchCall::End(absl::StatusOr<SearchResult> result) {
  const std::string token = JoinTokens(kept_);
  if (!result.ok() && request_.view_token.empty()) cluster_.ReleaseView(token);
  if (!result.ok() && moved_ && tries_ < kMostTries)
    return std::make_shared<SearchCall>(cluster_, request_, std::move(done_), tries_ + 1)->Start();
  if (moved_ && absl::IsNotFound(result.status())) result = absl::UnavailableError(result.status().message());
  if (result.ok()) result->view_token = token;
  if (result.ok() && request_.allow_partial) {
    const auto answered = static_cast<uint32_t>(std::count(left_out_.begin(), left_out_.end(), false));
    result->coverage = Coverage{static_cast<uint32_t>(left_out_.size()), answered, result->documents};
  }
  done_(std::move(result));
}

}  // namespace bebr
