// Writes of documents of a ReplicatedEngine.
#include <algorithm>
#include <atomic>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/retry.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"
#include "index/cluster/renumbered.h"
#include "index/cluster/replicated_engine_impl.h"
#include "index/request/filtered_write.h"
#include "index/types/search.h"

namespace bebr {
namespace {

constexpr const char* kField = "documents";
// So often an upsert is encoded anew, since versions change.
constexpr int kMostRounds = 5;
constexpr size_t kMostFiltered = 256;  // writes by filter that are under way or wait

absl::Status CheckIds(const std::vector<std::string>& ids) {
  BEBR_RETURN_IF_ERROR(ValidateCount("ids", ids.size(), kMaxDocumentsPerRequest));
  for (size_t i = 0; i < ids.size(); ++i) BEBR_RETURN_IF_ERROR(ValidateId(absl::StrFormat("ids[%d]", i), ids[i]));
  return absl::OkStatus();
}

// What is wrong in any collection. What the collection's schema says besides replicas look at, all alike.
absl::Status CheckNamed(std::string_view collection, std::optional<AttributeChange>& change) {
  if (collection.size() > kMaxCollectionNameBytes) {
    return absl::NotFoundError(
        absl::StrFormat("no collection is named \"%s\"", collection.substr(0, kMaxCollectionNameBytes)));
  }
  if (!change.has_value()) return absl::OkStatus();
  AttributeSchema most_lenient;
  for (const auto& [name, value] : change->set) most_lenient[name] = {AttributeKind::kAny, AttributeStorage::kStored};
  return CheckChange(most_lenient, *change);
}

std::vector<uint64_t> KeysOf(std::string_view collection, const std::vector<std::string>& ids) {
  std::vector<uint64_t> keys;
  for (const std::string& id : ids) keys.push_back(StableHash(collection) ^ StableHash(id));
  return keys;
}

void Add(ChangeOutcome outcome, ChangeResult& all) {
  all.documents += outcome.documents;
  std::move(outcome.unknown_ids.begin(), outcome.unknown_ids.end(), std::back_inserter(all.unknown_ids));
}

}  // namespace

// What is appended and then applied: lives as long as one of the calls.
class ReplicatedEngine::LoggedCall : public std::enable_shared_from_this<LoggedCall> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<LogLane::Placed>, std::map<size_t, ChangeOutcome>)>;

  LoggedCall(ReplicatedEngine& cluster, std::vector<size_t> nodes, Done done)
      : cluster_(cluster),
        nodes_(std::move(nodes)),
        outcomes_(nodes_.size(), absl::UnknownError("")),
        done_(std::move(done)),
        left_(nodes_.size()) {}

  void Start(LogLane::Write write) {
    for (const size_t node : nodes_) {
      if (absl::Status differs = cluster_.sets_[node]->CheckLog(); !differs.ok()) return done_(differs, {});
    }
    cluster_.lane_.Append(std::move(write), [self = shared_from_this()](absl::StatusOr<LogLane::Placed> placed) {
      if (!placed.ok()) return self->done_(placed.status(), {});
      self->Ask(*std::move(placed));
    });
  }

 private:
  void Ask(LogLane::Placed placed) {
    cluster_.head_->Saw(placed.position);
    placed_ = std::move(placed);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const uint32_t number = placed_.numbers[cluster_.LogShard(nodes_[i])];
      cluster_.sets_[nodes_[i]]->Outcome(placed_.place(), number,
                                         [self = shared_from_this(), i](absl::StatusOr<ChangeOutcome> outcome) {
                                           self->outcomes_[i] = std::move(outcome);
                                           if (self->left_.fetch_sub(1) == 1) self->End();
                                         });
    }
  }
  void End() {
    std::map<size_t, ChangeOutcome> by_node;
    absl::Status error;
    bool again = false;  // a share has refused it for its versions, and so do all, also those that did not answer
    for (size_t i = 0; i < nodes_.size(); ++i) {
      error.Update(outcomes_[i].status());
      if (!outcomes_[i].ok()) continue;
      error.Update(outcomes_[i]->status);
      again |= absl::IsAborted(outcomes_[i]->status);
      by_node[nodes_[i]] = *std::move(outcomes_[i]);
    }
    if (!again && !error.ok()) return done_(error, {});  // ABORTED is told by the outcomes
    done_(placed_, std::move(by_node));
  }

  ReplicatedEngine& cluster_;
  const std::vector<size_t> nodes_;
  std::vector<absl::StatusOr<ChangeOutcome>> outcomes_;  // each written by one node's answer
  Done done_;
  std::atomic<size_t> left_;
  LogLane::Placed placed_;
};

void ReplicatedEngine::Log(std::map<size_t, std::string> changes, bool alone, LoggedCall::Done done) {
  std::vector<size_t> nodes;
  LogLane::Write write{.changes = {}, .alone = alone};
  for (auto& [node, change] : changes) {
    nodes.push_back(node);
    write.changes[LogShard(node)] = std::move(change);
  }
  std::make_shared<LoggedCall>(*this, std::move(nodes), std::move(done))->Start(std::move(write));
}

// An upsert under way. Lives as long as one of the calls.
class ReplicatedEngine::UpsertCall : public std::enable_shared_from_this<UpsertCall> {
 public:
  UpsertCall(ReplicatedEngine& cluster, std::vector<Share> shares,
             absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done)
      : cluster_(cluster),
        shares_(std::move(shares)),
        prepared_(shares_.size(), absl::UnknownError("")),
        done_(std::move(done)),
        position_(cluster.Seen()) {
    for (Share& share : shares_) share.KeepProblems();
  }

  void Start(WriteOrder::Ticket ticket) {
    ticket_ = std::move(ticket);
    Prepare();
  }

 private:
  void Prepare() {
    ++rounds_;
    left_ = shares_.size();
    for (size_t i = 0; i < shares_.size(); ++i) {
      cluster_.sets_[shares_[i].node]->Prepare(shares_[i].request, position_,
                                               [self = shared_from_this(), i](absl::StatusOr<PreparedChange> prepared) {
                                                 self->prepared_[i] = std::move(prepared);
                                                 if (self->left_.fetch_sub(1) == 1) self->Prepared();
                                               });
    }
  }

  void Prepared() {
    if (absl::Status wrong = Wrong(); !wrong.ok()) {
      if (fresh_ || absl::IsUnavailable(wrong) || absl::IsDeadlineExceeded(wrong)) return End(wrong);
      // A replica that is behind may not know of a collection, or a version, that is there.
      fresh_ = true;
      return cluster_.head_->Get([self = shared_from_this(), wrong](LogHead::Answer head) {
        if (!head.known || head.position == self->position_) return self->End(wrong);
        self->position_ = head.position;
        self->Prepare();
      });
    }
    if (shares_[0].request.check_only) return End(UpsertResult());
    if (absl::Status alike = CheckRevisions(); !alike.ok()) {
      if (rounds_ >= kMostRounds || !absl::IsAborted(alike)) return End(absl::UnavailableError(alike.message()));
      return Prepare();
    }
    std::map<size_t, std::string> changes;
    for (size_t i = 0; i < shares_.size(); ++i) changes[shares_[i].node] = std::move(prepared_[i]->change);
    cluster_.Log(
        std::move(changes), /*alone=*/false,
        [self = shared_from_this()](absl::StatusOr<LogLane::Placed> placed, std::map<size_t, ChangeOutcome> outcomes) {
          self->Written(std::move(placed), std::move(outcomes));
        });
  }

  // Shares take it all, or refuse it all: for that all of it must have been encoded for the same versions. ABORTED if
  // one replica did not know of a change yet that another one knew of; now they will.
  absl::Status CheckRevisions() {
    uint64_t least = std::numeric_limits<uint64_t>::max(), most = 0;
    for (const absl::StatusOr<PreparedChange>& prepared : prepared_) {
      BEBR_ASSIGN_OR_RETURN(const uint64_t revision, RevisionOf(prepared->change));
      least = std::min(least, revision);
      most = std::max(most, revision);
    }
    if (least == most) return absl::OkStatus();
    position_ = std::max(position_, most);
    return absl::AbortedError("versions of the collection change all the while; try again");
  }

  // What one engine would say is wrong with the request: of the first document that is wrong.
  absl::Status Wrong() const {
    absl::Status first;
    std::vector<size_t> nodes;
    std::vector<absl::Status> errors;
    for (size_t i = 0; i < shares_.size(); ++i) {
      nodes.push_back(shares_[i].node);
      errors.push_back(prepared_[i].status());
      const absl::Status error = Renumbered(kField, prepared_[i].status(), shares_[i].numbers);
      if (!absl::IsInvalidArgument(error)) continue;
      if (first.ok() || NumberIn(kField, error) < NumberIn(kField, first)) first = error;
    }
    return first.ok() ? cluster_.FirstError(nodes, errors) : first;
  }

  void Written(absl::StatusOr<LogLane::Placed> placed, std::map<size_t, ChangeOutcome> outcomes) {
    if (!placed.ok()) return End(placed.status());
    for (const auto& [node, outcome] : outcomes) {
      if (!absl::IsAborted(outcome.status)) continue;
      if (rounds_ >= kMostRounds) return End(absl::UnavailableError(outcome.status.message()));
      // Every share has refused it. Encoded anew, by a replica that knows why.
      position_ = placed->position;
      return Prepare();
    }
    UpsertResult all;
    for (size_t i = 0; i < shares_.size(); ++i)
      Add(shares_[i], std::move(outcomes[shares_[i].node]), prepared_[i]->problems, all);
    std::sort(all.problems.begin(), all.problems.end(),
              [](const DocumentProblem& a, const DocumentProblem& b) { return a.index < b.index; });
    End(std::move(all));
  }

  static void Add(const Share& share, ChangeOutcome outcome, std::vector<DocumentProblem>& problems,
                  UpsertResult& all) {
    all.documents += outcome.documents;
    all.created += outcome.created;
    std::move(outcome.unknown_ids.begin(), outcome.unknown_ids.end(), std::back_inserter(all.unknown_ids));
    std::move(outcome.skipped_ids.begin(), outcome.skipped_ids.end(), std::back_inserter(all.skipped_ids));
    for (DocumentProblem& problem : problems) {
      if (problem.index >= share.numbers.size()) continue;  // of none that was sent
      const absl::Status& found = share.problems[problem.index];
      problem.status = found.ok() ? Renumbered(kField, problem.status, share.numbers) : found;
      problem.index = share.numbers[problem.index];
      all.problems.push_back(std::move(problem));
    }
  }

  void End(absl::StatusOr<UpsertResult> result) {
    cluster_.order_.Leave(ticket_);
    done_(std::move(result));
  }

  ReplicatedEngine& cluster_;
  std::vector<Share> shares_;
  std::vector<absl::StatusOr<PreparedChange>> prepared_;  // each written by one node's answer
  absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done_;
  WriteOrder::Ticket ticket_;
  std::atomic<size_t> left_{0};
  uint64_t position_;   // that replicas which prepare must have applied: at first, for what aliases are known here
  bool fresh_ = false;  // where the log ended was asked for it
  int rounds_ = 0;
};

void ReplicatedEngine::Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) {
  std::vector<std::string> ids;
  for (const DocumentInput& document : request.documents) {
    // What the caller has found wrong it alone can tell.
    if (!document.problem.ok() && !request.partial) return done(document.problem);
    ids.push_back(document.id);
  }
  std::vector<uint64_t> keys = KeysOf(request.collection, ids);
  auto call = std::make_shared<UpsertCall>(*this, SharesOf(std::move(request)), std::move(done));
  order_.Enter(std::move(keys), [call](WriteOrder::Ticket ticket) { call->Start(std::move(ticket)); });
}

void ReplicatedEngine::ChangeIds(std::string_view collection, std::vector<std::string> ids,
                                 std::optional<AttributeChange> change, ChangeDone done) {
  if (absl::Status wrong = CheckIds(ids); !wrong.ok()) return done(wrong);
  if (absl::Status wrong = CheckNamed(collection, change); !wrong.ok()) return done(wrong);
  std::map<size_t, std::string> changes;
  std::vector<size_t> nodes;
  std::vector<uint64_t> keys = KeysOf(collection, ids);
  const std::vector<std::vector<size_t>> of_node = Split(ids);
  for (size_t node = 0; node < of_node.size(); ++node) {
    if (of_node[node].empty()) continue;
    LogChange part{.kind = LogChangeKind::kDocuments, .name = std::string(collection), .attributes = change};
    for (const size_t i : of_node[node]) part.ids.push_back(std::move(ids[i]));
    auto encoded = EncodeLogChange(part);
    if (!encoded.ok()) return done(encoded.status());
    changes[node] = *std::move(encoded);
    nodes.push_back(node);
  }
  auto held = std::make_shared<ChangeDone>(std::move(done));
  order_.Enter(std::move(keys),
               [this, held, collection = std::string(collection), nodes = std::move(nodes), change = std::move(change),
                changes = std::move(changes)](const WriteOrder::Ticket& ticket) mutable {
                 auto log = [this, held, ticket, changes = std::move(changes)](const absl::Status& room) mutable {
                   if (!room.ok()) {
                     order_.Leave(ticket);
                     return (*held)(room);
                   }
                   Log(std::move(changes), /*alone=*/false,
                       [this, held, ticket](const absl::StatusOr<LogLane::Placed>& placed,
                                            std::map<size_t, ChangeOutcome> outcomes) {
                         order_.Leave(ticket);
                         if (!placed.ok()) return (*held)(placed.status());
                         ChangeResult all;
                         for (auto& [node, outcome] : outcomes) Add(std::move(outcome), all);
                         (*held)(std::move(all));
                       });
                 };
                 CheckRoom(collection, std::move(nodes), change, std::move(log));
               });
}

void ReplicatedEngine::ChangeSelected(CountRequest selected, std::optional<AttributeChange> change, ChangeDone done) {
  if (filtered_.fetch_add(1) >= kMostFiltered) {
    filtered_.fetch_sub(1);
    return done(TryAgainLater(absl::StrFormat("%d writes by filter wait and the limit is %d; try again later",
                                              kMostFiltered, kMostFiltered)));
  }
  // It waits for the nodes, which the caller may not.
  auto held = std::make_shared<ChangeDone>([this, done = std::move(done)](absl::StatusOr<ChangeResult> result) mutable {
    filtered_.fetch_sub(1);
    done(std::move(result));
  });
  waiting_.Submit([this, selected = std::move(selected), held, change = std::move(change)] {
    const absl::Status wrong = change.has_value() ? CheckChangeOf(selected.collection, *change) : absl::OkStatus();
    if (!wrong.ok()) return (*held)(wrong);
    auto warnings = CheckFiltered(selected, change.has_value() ? kMaxFilteredUpdates : kMaxFilteredDeletions);
    if (!warnings.ok()) return (*held)(warnings.status());
    auto encoded = EncodeLogChange({.kind = LogChangeKind::kDocuments,
                                    .name = selected.collection,
                                    .filter = selected.filter,
                                    .attributes = change});
    if (!encoded.ok()) return (*held)(encoded.status());
    std::map<size_t, std::string> changes;
    std::vector<size_t> nodes;
    for (size_t node = 0; node < sets_.size(); ++node) {
      changes[node] = *encoded;
      nodes.push_back(node);
    }
    auto log = [this, held, changes = std::move(changes),
                said = *std::move(warnings)](const absl::Status& room) mutable {
      if (!room.ok()) return (*held)(room);
      Log(std::move(changes), /*alone=*/true,
          [held, said = std::move(said)](const absl::StatusOr<LogLane::Placed>& placed,
                                         std::map<size_t, ChangeOutcome> outcomes) mutable {
            if (!placed.ok()) return (*held)(placed.status());
            ChangeResult all{.warnings = std::move(said)};
            for (auto& [node, outcome] : outcomes) Add(std::move(outcome), all);
            (*held)(std::move(all));
          });
    };
    CheckRoom(selected.collection, std::move(nodes), change, std::move(log));
  });
}

void ReplicatedEngine::Delete(std::string_view collection, std::vector<std::string> ids, ChangeDone done) {
  ChangeIds(collection, std::move(ids), std::nullopt, std::move(done));
}

void ReplicatedEngine::DeleteByFilter(const FilteredDeletion& request, ChangeDone done) {
  if (request.filter.empty()) {
    return done(absl::InvalidArgumentError(
        "ids and filter are empty; name documents, or say which by a filter (id >= \"\" is true of all)"));
  }
  ChangeSelected({.collection = request.collection,
                  .filter = request.filter,
                  .deadline = request.deadline,
                  .cancelled = request.cancelled},
                 std::nullopt, std::move(done));
}

void ReplicatedEngine::UpdateAttributes(AttributeUpdate update, ChangeDone done) {
  if (!update.ids.empty() && !update.filter.empty())
    return done(absl::InvalidArgumentError("filter is set, and ids too; set one of them"));
  if (!update.ids.empty() || update.filter.empty()) {
    return ChangeIds(update.collection, std::move(update.ids), std::move(update.change), std::move(done));
  }
  ChangeSelected({.collection = update.collection,
                  .filter = update.filter,
                  .deadline = update.deadline,
                  .cancelled = update.cancelled},
                 std::move(update.change), std::move(done));
}

}  // namespace bebr
