// A search under way on the nodes of a ClusterEngine.
#ifndef BEBR_INDEX_CLUSTER_SEARCH_CALL_H_
#define BEBR_INDEX_CLUSTER_SEARCH_CALL_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "index/cluster/chosen_groups.h"
#include "index/cluster/cluster_engine_impl.h"
#include "index/cluster/merged_groups.h"
#include "index/types/search.h"

namespace bebr {

// A SearchCall asks all nodes, mostly once. Where it matters how many documents are in each group of the space (a
// probe, `explain`) it asks first for these, and then tells all nodes how many there are altogether; with group_by it
// ends with a round to those nodes that may have further hits of the best values, and with candidates too it has a
// round for each scan of one engine. A search that sees a kept view has all rounds of that; any other sees the
// documents of each node as they are when it is asked.
//
// All nodes and rounds search for one version. Where its promotion comes between them the search begins anew, some
// times, then it is UNAVAILABLE.
//
// Lives as long as one of its calls. `done` runs on the thread that answers last.
class ClusterEngine::SearchCall : public std::enable_shared_from_this<SearchCall> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<SearchResult>)>;
  SearchCall(ClusterEngine& cluster, SearchRequest request, Done done, size_t tries = 1);

  void Start();

 private:
  using Next = void (SearchCall::*)();
  // Sends each node its request, if it has one, then goes on with `next`: what these have answered is in answers_.
  void Ask(std::vector<std::optional<SearchRequest>> requests, Next next);
  // Of all nodes that were not left out the same.
  void AskAll(const SearchRequest& request, Next next);
  void AskForHits();
  void Take(size_t node, size_t queries, absl::StatusOr<SearchResult> answer, Next next);
  // Leaves out nodes that do not answer, where that is asked for. An error of another one ends the search.
  absl::Status CheckAnswers();
  // All are of one version, which the next rounds name.
  absl::Status CheckVersion();
  // Answers with hits have what was asked for.
  absl::Status CheckParts() const;
  // What those that are not left out have answered.
  std::vector<SearchResult> TakeAnswers();

  // The rounds: with the documents of each group, as all nodes have them; with hits; and with further hits of groups.
  void TakeCounts();
  absl::Status SumCounts();
  void TakeHits();
  absl::Status StartGroups();
  void AskForMissing();
  void TakeMissing();
  void AnswerGroups();
  // What a round cost beside its hits.
  void AddCosts(const std::vector<SearchResult>& answers);

  // Of a search by groups with candidates, some queries at a time: the rounds of their groups, then one for what is
  // missing.
  bool ChoosesGroups() const;
  void StartChosen();
  void AskForChosen();
  void TakeChosen();
  void StartBatch(const SearchResult& facts);
  void EndBatch();
  void End(absl::StatusOr<SearchResult> result);

  ClusterEngine& cluster_;
  const size_t tries_;  // this is the number
  const SearchRequest request_;
  Done done_;
  SearchRequest part_;                                                // of every node, but for its view's token
  std::vector<std::string> tokens_;                                   // by node, of the view that it is asked for
  std::vector<std::string> kept_;                                     // by node, of the view that it keeps
  std::vector<bool> left_out_;                                        // by node
  std::vector<std::optional<absl::StatusOr<SearchResult>>> answers_;  // each written by one node's answer
  std::atomic<size_t> waiting_{0};                                    // for so many of them
  // The name and the model's checksum of the version, once nodes have told.
  std::optional<std::pair<std::string, uint32_t>> searched_;
  bool moved_ = false;  // it is not the same all the time

  // With group_by:
  SearchResult result_;                     // without hits
  std::vector<MergedGroups> merged_;        // by query
  std::vector<uint64_t> documents_;         // by node
  std::vector<std::vector<size_t>> asked_;  // by node, the queries of which it is asked for missing hits

  // With candidates too:
  std::vector<ChosenGroups> chosen_;  // by query, of those that are under way
  std::vector<size_t> of_round_;      // those that the round is of
  size_t round_ = 0;
  bool missing_ = false;  // it is for missing hits
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_SEARCH_CALL_H_
