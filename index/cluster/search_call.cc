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

// Whether an answer may do without the node that gave this error.
bool IsMissing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsInternal(status) ||
         absl::IsDataLoss(status) || absl::IsUnknown(status);
}

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

ClusterEngine::SearchCall::SearchCall(ClusterEngine& cluster, SearchRequest request, Done done)
    : cluster_(cluster),
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
}

void ClusterEngine::SearchCall::Start() {
  if (!request_.explain && !Probes(request_)) return AskAll(&SearchCall::TakeHits);
  part_.count_groups = true;
  AskAll(&SearchCall::TakeCounts);
}

void ClusterEngine::SearchCall::AskAll(Next next) {
  std::vector<std::optional<SearchRequest>> requests(answers_.size());
  for (size_t node = 0; node < requests.size(); ++node) {
    if (!left_out_[node]) requests[node] = part_;
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
      const bool first = own.count_groups || (!own.group_by.empty() && own.group_values.empty());
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
    if (answer.ok() && !answer->view_token.empty()) kept_[node] = answer->view_token;
    left_out_[node] = request_.allow_partial && some && IsMissing(answer.status());
    nodes.push_back(node);
    errors.push_back(left_out_[node] ? absl::OkStatus() : answer.status());
  }
  return cluster_.FirstError(nodes, errors);
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
  if (!counted) return TakeHits();
  if (absl::Status error = SumCounts(); !error.ok()) return End(std::move(error));
  AskAll(&SearchCall::TakeHits);
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
    if (tokens_[node].empty()) tokens_[node] = answer.view_token;
  }
  part_.probe_recall = 0;
  part_.count_groups = false;
  return absl::OkStatus();
}

void ClusterEngine::SearchCall::TakeHits() {
  if (absl::Status error = CheckAnswers(); !error.ok()) return End(std::move(error));
  for (size_t node = 0; node < answers_.size(); ++node) {
    if (!answers_[node].has_value() || !answers_[node]->ok()) continue;
    const SearchResult& answer = **answers_[node];
    if (Probes(request_) && answer.scanned_share == 0) return End(cluster_.OfNode(node, OlderRelease("probe")));
    if (!request_.group_by.empty() && answer.grouped.size() != answer.hits.size())
      return End(cluster_.OfNode(node, OlderRelease("group_by")));
    if (const absl::Status wrong = CheckGroups(answer); !wrong.ok()) return End(cluster_.OfNode(node, wrong));
  }
  if (request_.group_by.empty()) return End(MergeSearch(request_, TakeAnswers()));
  if (absl::Status error = StartGroups(); !error.ok()) return End(std::move(error));
  AskForMissing();
}

absl::Status ClusterEngine::SearchCall::StartGroups() {
  std::vector<std::vector<std::vector<SearchHit>>> hits(answers_.size());
  std::vector<std::vector<ValueGroups>> grouped(answers_.size());
  documents_.resize(answers_.size());
  for (size_t node = 0; node < answers_.size(); ++node) {
    if (!answers_[node].has_value() || !answers_[node]->ok()) continue;
    SearchResult& answer = **answers_[node];
    hits[node].swap(answer.hits);
    grouped[node].swap(answer.grouped);
    documents_[node] = answer.documents;
    if (tokens_[node].empty()) tokens_[node] = answer.view_token;
  }
  BEBR_ASSIGN_OR_RETURN(result_, MergeFacts(request_, TakeAnswers()));
  // As it was the first time, whatever the collection's default is then.
  part_.collection_rerank = false;
  part_.rerank = result_.rerank;
  for (size_t q = 0; q < request_.queries.size(); ++q) merged_.emplace_back(request_, result_.rerank);
  for (size_t node = 0; node < hits.size(); ++node) {
    for (size_t q = 0; q < hits[node].size(); ++q)
      merged_[q].Add(node, std::move(hits[node][q]), std::move(grouped[node][q]));
  }
  for (MergedGroups& merged : merged_) merged.Update();
  return absl::OkStatus();
}

void ClusterEngine::SearchCall::AskForMissing() {
  std::vector<std::optional<SearchRequest>> requests(answers_.size());
  asked_.assign(answers_.size(), {});
  bool missing = false;
  for (size_t node = 0; node < requests.size(); ++node) {
    if (left_out_[node]) continue;
    SearchRequest request = part_;
    request.queries.clear();
    for (size_t q = 0; q < merged_.size(); ++q) {
      std::vector<AttributeValue> values = merged_[q].Missing(node);
      if (values.empty()) continue;
      asked_[node].push_back(q);
      request.queries.push_back(request_.queries[q]);
      request.group_values.push_back(std::move(values));
    }
    if (asked_[node].empty()) continue;
    requests[node] = std::move(request);
    missing = true;
  }
  if (!missing) return AnswerGroups();
  Ask(std::move(requests), &SearchCall::TakeMissing);
}

void ClusterEngine::SearchCall::TakeMissing() {
  const std::vector<bool> before = left_out_;
  if (absl::Status error = CheckAnswers(); !error.ok()) return End(std::move(error));
  SearchTimings longest;
  for (size_t node = 0; node < answers_.size(); ++node) {
    if (left_out_[node] && !before[node]) {
      for (MergedGroups& merged : merged_) merged.Remove(node);
      result_.documents -= documents_[node];
    }
    if (!answers_[node].has_value() || !answers_[node]->ok()) continue;
    SearchResult& answer = **answers_[node];
    if (answer.grouped.size() != answer.hits.size()) return End(cluster_.OfNode(node, OlderRelease("group_by")));
    if (const absl::Status wrong = CheckGroups(answer); !wrong.ok()) return End(cluster_.OfNode(node, wrong));
    for (size_t i = 0; i < asked_[node].size(); ++i)
      merged_[asked_[node][i]].Add(node, std::move(answer.hits[i]), std::move(answer.grouped[i]));
    result_.documents_scanned += answer.documents_scanned * asked_[node].size() / request_.queries.size();
    AddNodeWarnings(answer, result_);
    MergeTimings(answer.timings, longest);
  }
  AddTimings(longest, result_.timings);
  for (MergedGroups& merged : merged_) merged.Update();
  AskForMissing();
}

void ClusterEngine::SearchCall::AnswerGroups() {
  for (const MergedGroups& merged : merged_) result_.hits.push_back(merged.Ranked());
  End(std::move(result_));
}

void ClusterEngine::SearchCall::End(absl::StatusOr<SearchResult> result) {
  const std::string token = JoinTokens(kept_);
  if (!result.ok() && request_.view_token.empty()) cluster_.ReleaseView(token);
  if (result.ok()) result->view_token = token;
  if (result.ok() && request_.allow_partial) {
    const auto answered = static_cast<uint32_t>(std::count(left_out_.begin(), left_out_.end(), false));
    result->coverage = Coverage{static_cast<uint32_t>(left_out_.size()), answered, result->documents};
  }
  done_(std::move(result));
}

}  // namespace bebr
