// Upserts of a ClusterEngine.
#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/stable_hash.h"
#include "index/cluster/cluster_engine_impl.h"
#include "index/cluster/renumbered.h"

namespace bebr {
namespace {

constexpr const char* kField = "documents";

}  // namespace

// An upsert under way: checked by all nodes that have some of it, then written by them. Lives as long as one of their
// calls.
class ClusterEngine::UpsertCall : public std::enable_shared_from_this<UpsertCall> {
 public:
  UpsertCall(ClusterEngine& cluster, std::vector<Share> shares,
             absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done)
      : cluster_(cluster), shares_(std::move(shares)), done_(std::move(done)) {}

  void Start(WriteOrder::Ticket ticket) {
    ticket_ = std::move(ticket);
    // One node checks all before it writes; a partial request leaves out what is wrong.
    if (shares_.size() == 1 || shares_.front().request.partial) return Run(/*check_only=*/false);
    Run(/*check_only=*/true);
  }

 private:
  // What a node has answered, but what cannot be an answer to its share.
  static absl::StatusOr<UpsertResult> Checked(const Share& share, absl::StatusOr<UpsertResult> outcome) {
    if (!outcome.ok()) return outcome;
    for (const DocumentProblem& problem : outcome->problems) {
      if (problem.index >= share.numbers.size())
        return absl::InternalError(
            absl::StrFormat("it told of document %d of %d", problem.index, share.numbers.size()));
    }
    return outcome;
  }

  void Run(bool check_only) {
    left_ = shares_.size();
    for (Share& share : shares_) {
      if (!check_only) share.KeepProblems();
      UpsertRequest request = check_only ? share.request : std::move(share.request);
      request.check_only = check_only;
      cluster_.members_[share.node].node->engine().Upsert(
          std::move(request), [self = shared_from_this(), &share, check_only](absl::StatusOr<UpsertResult> outcome) {
            share.outcome = Checked(share, std::move(outcome));
            if (self->left_.fetch_sub(1) == 1) self->Ran(check_only);
          });
    }
  }

  void Ran(bool check_only) {
    if (!check_only) return End(Written());
    if (absl::Status wrong = Wrong(); !wrong.ok()) return End(wrong);
    Run(/*check_only=*/false);
  }

  // What one engine would say is wrong with the request: of the first document that is wrong.
  absl::Status Wrong() const {
    absl::Status first;
    std::vector<size_t> nodes;
    std::vector<absl::Status> errors;
    for (const Share& share : shares_) {
      nodes.push_back(share.node);
      errors.push_back(share.outcome.status());
      const absl::Status error = Renumbered(kField, share.outcome.status(), share.numbers);
      if (!absl::IsInvalidArgument(error)) continue;
      if (first.ok() || NumberIn(kField, error) < NumberIn(kField, first)) first = error;
    }
    return first.ok() ? cluster_.FirstError(nodes, errors) : first;
  }

  absl::StatusOr<UpsertResult> Written() {
    UpsertResult all;
    std::vector<size_t> nodes;
    std::vector<absl::Status> errors;
    for (Share& share : shares_) {
      nodes.push_back(share.node);
      errors.push_back(Renumbered(kField, share.outcome.status(), share.numbers));
      if (share.outcome.ok()) Add(share, *share.outcome, all);
    }
    if (absl::Status error = cluster_.WriteError(nodes, errors); !error.ok()) return error;
    std::sort(all.problems.begin(), all.problems.end(),
              [](const DocumentProblem& a, const DocumentProblem& b) { return a.index < b.index; });
    return all;
  }

  static void Add(const Share& share, UpsertResult& part, UpsertResult& all) {
    all.documents += part.documents;
    all.created += part.created;
    all.unknown_ids.insert(all.unknown_ids.end(), part.unknown_ids.begin(), part.unknown_ids.end());
    all.skipped_ids.insert(all.skipped_ids.end(), part.skipped_ids.begin(), part.skipped_ids.end());
    for (DocumentProblem& problem : part.problems) {
      const absl::Status& found = share.problems[problem.index];
      problem.status = found.ok() ? Renumbered(kField, problem.status, share.numbers) : found;
      problem.index = share.numbers[problem.index];
      all.problems.push_back(std::move(problem));
    }
    all.timings.queue_us = std::max(all.timings.queue_us, part.timings.queue_us);
    all.timings.commit_us = std::max(all.timings.commit_us, part.timings.commit_us);
  }

  void End(absl::StatusOr<UpsertResult> result) {
    cluster_.order_.Leave(ticket_);
    done_(std::move(result));
  }

  ClusterEngine& cluster_;
  std::vector<Share> shares_;
  absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done_;
  WriteOrder::Ticket ticket_;
  std::atomic<size_t> left_{0};
};

absl::Status ClusterEngine::WriteError(absl::Span<const size_t> nodes, absl::Span<const absl::Status> outcomes) const {
  std::vector<std::string> written, not_written;
  for (size_t i = 0; i < nodes.size(); ++i) {
    (outcomes[i].ok() ? written : not_written).push_back(PlaceOf(nodes[i]).name);
  }
  if (not_written.empty()) return absl::OkStatus();
  absl::Status error = FirstError(nodes, outcomes);
  if (written.empty()) return error;
  return absl::Status(
      error.code(), absl::StrFormat("%s. What is on node %s was written, and on node %s not, or nobody knows: a write "
                                    "is atomic on each node, not over nodes. Send it again",
                                    error.message(), absl::StrJoin(written, ", "), absl::StrJoin(not_written, ", ")));
}

std::vector<Share> ClusterEngine::SharesOf(UpsertRequest request) const {
  std::vector<DocumentInput> documents = std::exchange(request.documents, {});
  // What is no request for several nodes is refused by one.
  const bool refused = documents.empty() || documents.size() > kMaxDocumentsPerRequest;
  std::vector<Share> of_node(members_.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    Share& share = of_node[refused ? 0 : NodeOf(documents[i].id)];
    share.numbers.push_back(i);
    share.request.documents.push_back(std::move(documents[i]));
  }
  std::vector<Share> shares;
  for (size_t node = 0; node < of_node.size(); ++node) {
    if (of_node[node].numbers.empty() && (!documents.empty() || node > 0)) continue;
    std::vector<DocumentInput> own = std::move(of_node[node].request.documents);
    Share& share = shares.emplace_back(std::move(of_node[node]));
    share.node = node;
    share.request = request;
    share.request.documents = std::move(own);
  }
  return shares;
}

void ClusterEngine::Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) {
  const uint64_t collection = StableHash(request.collection);
  std::vector<uint64_t> keys;
  for (const DocumentInput& document : request.documents) {
    // What the caller has found wrong it alone can tell.
    if (!document.problem.ok() && !request.partial) return done(document.problem);
    keys.push_back(collection ^ StableHash(document.id));
  }
  auto call = std::make_shared<UpsertCall>(*this, SharesOf(std::move(request)), std::move(done));
  order_.Enter(std::move(keys), [call](WriteOrder::Ticket ticket) { call->Start(std::move(ticket)); });
}

}  // namespace bebr
