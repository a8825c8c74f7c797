#include "index/cluster/replica_set.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "index/cluster/state_report.h"

namespace bebr {

// A call that goes from replica to replica until one answers it. Lives as long as one of their calls.
template <typename Result>
class ReplicaSet::Round : public std::enable_shared_from_this<Round<Result>> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Result>)>;
  // Begins the call of a replica, which must have applied the log up to `position`.
  using Begin = std::function<void(size_t replica, uint64_t position, SteadyTime deadline, Done done)>;

  Round(ReplicaSet& set, uint64_t position, SteadyTime end, Begin begin, Done done)
      : set_(set),
        position_(position),
        end_(end),
        order_(set.Order(position)),
        begin_(std::move(begin)),
        done_(std::move(done)) {}
  // Where no replica can do it, what is then said, once the last error is known.
  void OrElse(std::function<void(const absl::Status&, Done)> otherwise) { otherwise_ = std::move(otherwise); }

  void Next() {
    const size_t replicas = order_.size(), pass = tried_ / replicas;
    const SteadyTime now = SteadyNow();
    if (tried_ == replicas) patience_ = now + kPatience;
    if (tried_ > 0 && (now >= end_ || (pass > 1 && now >= patience_))) return Fail();
    const size_t replica = order_[tried_ % replicas];
    const bool waits = pass > 1 && tried_ % replicas == 0;
    deadline_ = pass == 0 && replicas > 1 ? now + FirstTry(end_ - now) : end_;
    ++tried_;
    if (!waits) return Try(replica, /*again=*/true);
    set_.later_.After(kBetweenPasses,
                      [self = this->shared_from_this(), replica] { self->Try(replica, /*again=*/true); });
  }

  // Does without those that have applied so much.
  void Fail() {
    if (otherwise_ == nullptr) return done_(errors_.All());
    otherwise_(errors_.All(), std::move(done_));
  }

 private:
  void Try(size_t replica, bool again) {
    begin_(replica, position_, deadline_, [self = this->shared_from_this(), replica, again](auto result) {
      self->Take(replica, again, std::move(result));
    });
  }
  void Take(size_t replica, bool again, absl::StatusOr<Result> result) {
    if (result.ok()) {
      set_.Succeeded(replica, position_);
      return done_(std::move(result));
    }
    absl::Status error = result.status();
    if (absl::IsAborted(error) && again) {
      return set_.members_[replica].node->Await(position_, deadline_,
                                                [self = this->shared_from_this(), replica](absl::Status reached) {
                                                  if (reached.ok()) return self->Try(replica, /*again=*/false);
                                                  self->Take(replica, /*again=*/false, std::move(reached));
                                                });
    }
    if (!set_.IsOfReplica(replica, error)) return done_(error);
    errors_.Add(replica, error);
    Next();
  }

  ReplicaSet& set_;
  const uint64_t position_;
  const SteadyTime end_;
  const std::vector<size_t> order_;
  const Begin begin_;
  Done done_;
  std::function<void(const absl::Status&, Done)> otherwise_;
  size_t tried_ = 0;
  SteadyTime deadline_, patience_;
  Errors errors_;
};

ReplicaSet::ReplicaSet(std::vector<ReplicaMember> members, std::shared_ptr<LogHead> head, absl::Duration timeout)
    : members_(std::move(members)),
      head_(std::move(head)),
      timeout_(timeout),
      health_(members_.size()),
      reports_(members_.size()),
      askers_(members_.size()) {
  MutexLock lock(&reports_mutex_);
  for (size_t i = 0; i < members_.size(); ++i)
    reports_[i] = {.place = members_[i].place, .problem = "has not answered yet"};
}

NodePlace ReplicaSet::place() const {
  NodePlace all = members_[0].place;
  for (size_t i = 1; i < members_.size(); ++i) {
    absl::StrAppend(&all.name, "|", members_[i].place.name);
    absl::StrAppend(&all.address, "|", members_[i].place.address);
  }
  return all;
}

absl::StatusOr<NodeState> ReplicaSet::State() {
  std::vector<absl::StatusOr<NodeState>> states(members_.size(), absl::UnknownError(""));
  askers_.ParallelFor(members_.size(), [&](size_t i) { states[i] = members_[i].node->State(); });
  {
    MutexLock lock(&reports_mutex_);
    for (size_t i = 0; i < states.size(); ++i) NoteState(states[i], reports_[i]);
  }
  std::optional<size_t> best;
  std::vector<std::string> problems;
  absl::Status missing;
  for (size_t i = 0; i < states.size(); ++i) {
    const absl::StatusOr<NodeState>& state = states[i];
    const bool quarantined = state.ok() && state->replica.has_value() && state->replica->quarantined;
    const uint64_t applied = state.ok() && state->replica.has_value() ? state->replica->applied : 0;
    health_[i].failing = !state.ok() || quarantined;
    health_[i].applied = applied;
    const std::string& name = members_[i].place.name;
    if (!state.ok()) {
      missing = state.status();
      problems.push_back(absl::StrFormat("the replica on node %s does not answer: %s", name, missing.message()));
      continue;
    }
    if (state->replica.has_value() && !state->replica->problem.empty()) {
      problems.push_back(absl::StrFormat("the replica on node %s %s: %s", name,
                                         quarantined ? "is quarantined" : "does not follow the log",
                                         state->replica->problem));
    }
    if (quarantined) continue;
    if (!best.has_value() || applied > health_[*best].applied) best = i;
  }
  if (!best.has_value()) {
    if (!missing.ok()) return missing;
    return absl::UnavailableError(absl::StrJoin(problems, "; "));
  }
  NodeState all = *std::move(states[*best]);
  if (problems.empty()) return all;
  for (const std::string& collection : all.collections)
    all.damaged.push_back({collection, absl::StrJoin(problems, "; ")});
  return all;
}

ShareReport ReplicaSet::Report() {
  const uint64_t head = head_->Last();
  ShareReport report{.first_slot = members_[0].place.first_slot,
                     .last_slot = members_[0].place.last_slot,
                     .stale_answers = stale_answers_.load(std::memory_order_relaxed)};
  MutexLock lock(&reports_mutex_);
  report.replicas = reports_;
  for (ReplicaReport& replica : report.replicas)
    replica.lag_positions = std::max(replica.lag_positions, head - std::min(head, replica.applied));
  return report;
}

std::vector<ReplicaDigest> ReplicaSet::Digests(const std::string& collection, uint64_t position, uint64_t bytes_per_s,
                                               SteadyTime deadline,
                                               const std::shared_ptr<std::atomic<bool>>& cancelled) {
  std::vector<ReplicaDigest> digests(members_.size());
  ThreadPool reading(members_.size());
  reading.ParallelFor(members_.size(), [&](size_t i) {
    digests[i].node = members_[i].place.name;
    auto digest = members_[i].node->Digest(collection, position, bytes_per_s, deadline, cancelled);
    digests[i].status = digest.status();
    if (!digest.ok()) return;
    digests[i].documents = digest->documents;
    digests[i].digest = std::move(digest->digest);
  });
  return digests;
}

std::vector<size_t> ReplicaSet::Order(uint64_t position) {
  const size_t turn = turn_.fetch_add(1, std::memory_order_relaxed);
  std::vector<size_t> order(members_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = (turn + i) % order.size();
  // As it is now: others may change it while it is sorted.
  std::vector<std::tuple<bool, uint64_t>> rank(order.size());
  for (size_t i = 0; i < rank.size(); ++i) {
    const uint64_t applied = health_[i].applied,
                   wanted = position == 0 ? std::numeric_limits<uint64_t>::max() : position;
    rank[i] = {health_[i].failing, wanted - std::min(wanted, applied)};
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return rank[a] < rank[b]; });
  return order;
}

bool ReplicaSet::IsOfReplica(size_t replica, absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kNotFound:
      return false;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      break;  // it is there
    default:
      health_[replica].failing = true;
  }
  const NodePlace& place = members_[replica].place;
  absl::Status named(error.code(), absl::StrFormat("node %s (%s): %s", place.name, place.address, error.message()));
  error.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) { named.SetPayload(type, payload); });
  error = std::move(named);
  return true;
}

void ReplicaSet::Succeeded(size_t replica, uint64_t position) {
  std::atomic<uint64_t>& applied = health_[replica].applied;
  uint64_t before = applied.load(std::memory_order_relaxed);
  while (before < position && !applied.compare_exchange_weak(before, position)) continue;
}

SteadyTime ReplicaSet::EndOf(SteadyTime deadline) const { return std::min(deadline, SteadyNow() + timeout_); }

void ReplicaSet::Prepare(UpsertRequest request, uint64_t position,
                         absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done) {
  auto held = std::make_shared<const UpsertRequest>(std::move(request));
  const auto begin = [this, held](size_t replica, uint64_t at, SteadyTime deadline, auto ended) {
    members_[replica].node->Prepare(*held, at, deadline, std::move(ended));
  };
  auto round =
      std::make_shared<Round<PreparedChange>>(*this, position, EndOf(absl::InfiniteDuration()), begin, std::move(done));
  round->OrElse([](const absl::Status& error, Round<PreparedChange>::Done ended) {
    if (!absl::IsDeadlineExceeded(error)) return ended(error);
    ended(absl::UnavailableError(
        absl::StrFormat("no replica could encode it in time, and it is not written: %s", error.message())));
  });
  round->Next();
}

absl::StatusOr<PreparedBackfill> ReplicaSet::PrepareBackfill(const std::string& collection, const std::string& version,
                                                             const std::string& after, uint32_t most_documents) {
  const uint64_t position = head_->Last();
  Errors errors;
  for (const size_t replica : Order(position)) {
    auto prepared = members_[replica].node->PrepareBackfill(collection, version, after, most_documents, position,
                                                            EndOf(absl::InfiniteDuration()));
    absl::Status error = prepared.status();
    if (prepared.ok() || !IsOfReplica(replica, error)) return prepared;
    errors.Add(replica, std::move(error));
  }
  return errors.All();
}

void ReplicaSet::CheckRoomFor(const AttributeUpdate& update, absl::AnyInvocable<void(absl::Status)> done) {
  members_[Order(head_->Last())[0]].node->CheckRoomFor(
      update, SteadyNow() + FirstTry(timeout_), [done = std::move(done)](absl::Status status) mutable {
        done(absl::IsResourceExhausted(status) ? std::move(status) : absl::OkStatus());
      });
}

void ReplicaSet::Outcome(uint64_t position, uint32_t number,
                         absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done) {
  const auto begin = [this, number](size_t replica, uint64_t at, SteadyTime deadline, auto ended) {
    members_[replica].node->Outcome(at, number, deadline,
                                    [ended = std::move(ended)](absl::StatusOr<ChangeOutcome> outcome) mutable {
                                      // Another one may have it.
                                      if (absl::IsNotFound(outcome.status()))
                                        outcome = absl::ResourceExhaustedError(outcome.status().message());
                                      ended(std::move(outcome));
                                    });
  };
  const auto unknown = [position](const absl::Status& error, Round<ChangeOutcome>::Done ended) {
    ended(absl::UnavailableError(
        absl::StrFormat("the write is in the log, at position %d: all replicas will make it, or all refuse it, but "
                        "which of these no replica could say in time: %s",
                        position, error.message())));
  };
  auto round =
      std::make_shared<Round<ChangeOutcome>>(*this, position, EndOf(absl::InfiniteDuration()), begin, std::move(done));
  round->OrElse(unknown);
  round->Next();
}

void ReplicaSet::Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) {
  auto held = std::make_shared<const SearchRequest>(std::move(request));
  const auto begin = [this, held](size_t replica, uint64_t at, SteadyTime deadline, auto ended) {
    auto engine = members_[replica].node->EngineAt(at, std::min(deadline, held->deadline));
    if (!engine.ok()) return ended(engine.status());
    SearchRequest own = *held;
    if (!own.view_token.empty()) own.view_token = SplitView(own.view_token, members_.size()).second;
    (*engine)->Search(std::move(own), [replica, ended = std::move(ended)](absl::StatusOr<SearchResult> found) mutable {
      if (found.ok()) found->view_token = JoinView(replica, found->view_token);
      ended(std::move(found));
    });
  };
  const SteadyTime end = EndOf(held->deadline);
  // A view is as it was.
  if (!held->view_token.empty())
    return begin(SplitView(held->view_token, members_.size()).first, 0, end, std::move(done));
  head_->Get([this, begin, end, done = std::move(done)](LogHead::Answer head) mutable {
    const SteadyTime now = SteadyNow();
    const auto stale = [this, begin, end](const absl::Status&, Round<SearchResult>::Done ended) {
      auto warn = [this, ended = std::move(ended)](absl::StatusOr<SearchResult> found) mutable {
        if (found.ok()) MarkStale(*found);
        ended(std::move(found));
      };
      std::make_shared<Round<SearchResult>>(*this, 0, end, begin, std::move(warn))->Next();
    };
    auto round = std::make_shared<Round<SearchResult>>(*this, head.position, now + kShareOfFresh * (end - now), begin,
                                                       std::move(done));
    round->OrElse(stale);
    if (head.known) return round->Next();
    round->Fail();
  });
}

void ReplicaSet::ReleaseView(const std::string& view_token) {
  const auto [replica, token] = SplitView(view_token, members_.size());
  auto engine = members_[replica].node->EngineAt(0, EndOf(absl::InfiniteDuration()));
  if (engine.ok()) (*engine)->ReleaseView(token);
}

}  // namespace bebr
