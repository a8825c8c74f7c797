// The rounds of searches by groups of a ClusterEngine.
#include <algorithm>
#include <utility>

#include "index/base/status_macros.h"
#include "index/cluster/merge.h"
#include "index/cluster/search_call.h"

namespace bebr {
namespace {

// Of as many queries at a time candidates are held, as on one engine.
constexpr size_t kChosenAtATime = 16;

}  // namespace

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
  if (absl::Status error = CheckParts(); !error.ok()) return End(std::move(error));
  for (size_t node = 0; node < answers_.size(); ++node) {
    if (left_out_[node] && !before[node]) {
      for (MergedGroups& merged : merged_) merged.Remove(node);
      result_.documents -= documents_[node];
    }
    if (!answers_[node].has_value() || !answers_[node]->ok()) continue;
    SearchResult& answer = **answers_[node];
    for (size_t i = 0; i < asked_[node].size(); ++i)
      merged_[asked_[node][i]].Add(node, std::move(answer.hits[i]), std::move(answer.grouped[i]));
  }
  AddCosts(TakeAnswers());
  for (MergedGroups& merged : merged_) merged.Update();
  AskForMissing();
}

void ClusterEngine::SearchCall::AnswerGroups() {
  for (const MergedGroups& merged : merged_) result_.hits.push_back(merged.Ranked());
  End(std::move(result_));
}

void ClusterEngine::SearchCall::AddCosts(const std::vector<SearchResult>& answers) {
  SearchTimings longest;
  for (const SearchResult& answer : answers) {
    result_.documents_scanned += answer.documents_scanned * answer.hits.size() / request_.queries.size();
    AddNodeWarnings(answer, result_);
    MergeTimings(answer.timings, longest);
  }
  AddTimings(longest, result_.timings);
}

bool ClusterEngine::SearchCall::ChoosesGroups() const { return !request_.group_by.empty() && request_.candidates > 0; }

void ClusterEngine::SearchCall::StartChosen() {
  result_ = SearchResult();
  chosen_.clear();
  AskForChosen();
}

void ClusterEngine::SearchCall::AskForChosen() {
  SearchRequest request = part_;
  request.queries.clear();
  of_round_.clear();
  const size_t done = result_.hits.size();  // queries
  const size_t count = std::min(kChosenAtATime, request_.queries.size() - done);
  if (chosen_.empty()) round_ = 0;
  bool known = !chosen_.empty();
  for (const ChosenGroups& groups : chosen_) known &= groups.known();
  request.group_round = known ? 0 : ++round_;
  for (size_t q = 0; q < count; ++q) {
    if (!chosen_.empty() && chosen_[q].known() != known) continue;
    std::vector<AttributeValue> values = chosen_.empty() ? std::vector<AttributeValue>() : chosen_[q].values();
    if (known && values.empty()) continue;
    of_round_.push_back(q);
    request.queries.push_back(request_.queries[done + q]);
    request.group_values.push_back(std::move(values));
  }
  missing_ = known;
  // No query at all: that is for the nodes to refuse.
  if (of_round_.empty() && !chosen_.empty()) return EndBatch();
  AskAll(request, &SearchCall::TakeChosen);
}

void ClusterEngine::SearchCall::TakeChosen() {
  const std::vector<bool> before = left_out_;
  if (absl::Status error = CheckAnswers(); !error.ok()) return End(std::move(error));
  if (absl::Status error = CheckParts(); !error.ok()) return End(std::move(error));
  // What was found with a node that answers no more counts no more.
  if (left_out_ != before && (!chosen_.empty() || !result_.hits.empty())) return StartChosen();
  std::vector<std::vector<ChosenGroups::Found>> found(of_round_.size());
  for (size_t node = 0; node < answers_.size(); ++node) {
    if (!answers_[node].has_value() || !answers_[node]->ok()) continue;
    SearchResult& answer = **answers_[node];
    for (size_t i = 0; i < found.size(); ++i) {
      for (size_t h = 0; h < answer.hits[i].size(); ++h)
        found[i].push_back({std::move(answer.hits[i][h]), std::move(answer.grouped[i].of_hit[h])});
    }
  }
  const std::vector<SearchResult> answers = TakeAnswers();
  const auto facts = MergeFacts(request_, answers);
  if (!facts.ok()) return End(facts.status());
  if (chosen_.empty()) StartBatch(*facts);
  AddCosts(answers);
  for (size_t i = 0; i < found.size(); ++i) {
    ChosenGroups& groups = chosen_[of_round_[i]];
    missing_ ? groups.TakeMissing(facts->chosen, found[i]) : groups.TakeRound(facts->chosen, std::move(found[i]));
  }
  missing_ ? EndBatch() : AskForChosen();
}

void ClusterEngine::SearchCall::StartBatch(const SearchResult& facts) {
  if (result_.hits.empty()) {
    result_ = facts;
    result_.timings = SearchTimings();
    result_.documents_scanned = 0;
    result_.scanned_share = 0;
    // As it was the first time, whatever the collection's default is then.
    part_.collection_rerank = false;
    part_.rerank = facts.rerank;
  }
  const auto share = static_cast<double>(of_round_.size()) / static_cast<double>(request_.queries.size());
  result_.scanned_share += facts.scanned_share * share;
  for (size_t q = 0; q < of_round_.size(); ++q) chosen_.emplace_back(request_, facts.rerank);
}

void ClusterEngine::SearchCall::EndBatch() {
  for (ChosenGroups& groups : chosen_) result_.hits.push_back(groups.Ranked());
  chosen_.clear();
  if (result_.hits.size() == request_.queries.size()) return End(std::move(result_));
  AskForChosen();
}

}  // namespace bebr
