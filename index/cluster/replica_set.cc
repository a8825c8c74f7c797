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
namespace {

constexpr size_t kAskers = 3;  // of members that come later too

}  // namespace

// A call that goes from replica to replica until one answers it. Lives as long as one of their calls.
template <typename Result>
class ReplicaSet::Round : public std::enable_shared_from_this<Round<Result>> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Result>)>;
  // Begins the call of a replica, which must have applied the log up to `position`.
  using Begin =
      std::function<void(const std::shared_ptr<Replica>& replica, uint64_t position, SteadyTime deadline, Done done)>;

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
    const std::shared_ptr<Replica> replica = order_[tried_ % replicas];
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
  void Try(const std::shared_ptr<Replica>& replica, bool again) {
    begin_(replica, position_, deadline_, [self = this->shared_from_this(), replica, again](auto result) {
      self->Take(replica, again, std::move(result));
    });
  }
  void Take(const std::shared_ptr<Replica>& replica, bool again, absl::StatusOr<Result> result) {
    if (result.ok()) {
      Succeeded(*replica, position_);
      return done_(std::move(result));
    }
    absl::Status error = result.status();
    if (absl::IsAborted(error) && again) {
      return replica->node->Await(position_, deadline_,
                                  [self = this->shared_from_this(), replica](absl::Status reached) {
                                    if (reached.ok()) return self->Try(replica, /*again=*/false);
                                    self->Take(replica, /*again=*/false, std::move(reached));
                                  });
    }
    if (!set_.IsOfReplica(*replica, position_, error)) return done_(error);
    errors_.Add(replica->place.name, error);
    Next();
  }

  ReplicaSet& set_;
  const uint64_t position_;
  const SteadyTime end_;
  const Replicas order_;
  const Begin begin_;
  Done done_;
  std::function<void(const absl::Status&, Done)> otherwise_;
  size_t tried_ = 0;
  SteadyTime deadline_, patience_;
  Errors errors_;
};

ReplicaSet::ReplicaSet(std::vector<ReplicaMember> members, std::shared_ptr<LogHead> head, absl::Duration timeout)
    : slots_({.first_slot = members[0].place.first_slot, .last_slot = members[0].place.last_slot}),
      head_(std::move(head)),
      timeout_(timeout),
      askers_(std::max(members.size(), kAskers)) {
  MutexLock lock(&mutex_);
  for (ReplicaMember& member : members) seats_.push_back({std::make_shared<Replica>(std::move(member))});
}

std::vector<ReplicaSet::Seat> ReplicaSet::All() const {
  MutexLock lock(&mutex_);
  return seats_;
}

ReplicaSet::Replicas ReplicaSet::Serving() const {
  Replicas serving;
  for (Seat& seat : All()) {
    if (seat.state != MemberState::kServing) continue;
    seat.replica->node->SetLog(head_->identity());
    serving.push_back(std::move(seat.replica));
  }
  return serving;
}

void ReplicaSet::SetMembers(const std::vector<Member>& members, const MakeReplicaNode& make) {
  const auto serves = [](const Member& member) { return member.state == MemberState::kServing; };
  if (std::none_of(members.begin(), members.end(), serves)) return;  // nobody makes that so
  std::vector<Seat> before = All(), now;
  for (const Member& member : members) {
    const auto same = std::find_if(before.begin(), before.end(), [&](const Seat& seat) {
      return seat.replica != nullptr && seat.replica->place.name == member.place.name &&
             seat.replica->place.address == member.place.address;
    });
    now.push_back({same != before.end() ? std::exchange(same->replica, nullptr)
                                        : std::make_shared<Replica>(ReplicaMember{member.place, make(member.place)}),
                   member.state});
  }
  Replicas idle;  // ends without the lock
  MutexLock lock(&mutex_);
  seats_ = std::move(now);
  for (Seat& seat : before) {
    if (seat.replica != nullptr) gone_.push_back(std::move(seat.replica));
  }
  const auto held = std::partition(gone_.begin(), gone_.end(), [](const auto& one) { return one.use_count() > 1; });
  idle.assign(std::make_move_iterator(held), std::make_move_iterator(gone_.end()));
  gone_.erase(held, gone_.end());
}

NodePlace ReplicaSet::place() const {
  NodePlace all = slots_;
  for (const auto& replica : Serving()) {
    absl::StrAppend(&all.name, all.name.empty() ? "" : "|", replica->place.name);
    absl::StrAppend(&all.address, all.address.empty() ? "" : "|", replica->place.address);
  }
  return all;
}

std::vector<MemberReport> ReplicaSet::Reports() const {
  std::vector<MemberReport> reports;
  for (const auto& [replica, state] : All()) {
    MutexLock lock(&replica->mutex);
    reports.push_back({.member = {.place = replica->place, .state = state},
                       .answers = replica->report.health != ReplicaHealth::kMissing,
                       .replica = replica->told});
  }
  return reports;
}

absl::StatusOr<NodeState> ReplicaSet::Ask(Replica& replica) const {
  absl::StatusOr<NodeState> state = replica.node->State();
  // One of another log is as one that is not there.
  const uint64_t own = head_->identity(), its = state.ok() && state->replica.has_value() ? state->replica->log : 0;
  absl::Status other_log;
  if (own != 0 && its != 0 && own != its) {
    other_log = AnotherLog(absl::StrFormat("node %s (%s)", replica.place.name, replica.place.address), its, own);
    state = other_log;
  }
  const bool follows = state.ok() && state->replica.has_value();
  replica.failing = !state.ok() || (follows && state->replica->quarantined);
  replica.applied = follows ? state->replica->applied : 0;
  MutexLock lock(&replica.mutex);
  NoteState(state, replica.report);
  replica.told_at = SteadyNow();
  replica.other_log = std::move(other_log);
  if (follows) replica.told = *state->replica;
  if (!state.ok()) replica.told.problem = std::string(state.status().message());
  return state;
}

absl::StatusOr<NodeState> ReplicaSet::State() {
  const std::vector<Seat> all = All();
  std::vector<absl::StatusOr<NodeState>> states(all.size(), absl::UnknownError(""));
  askers_.ParallelFor(all.size(), [&](size_t i) { states[i] = Ask(*all[i].replica); });
  std::optional<size_t> best;
  std::vector<std::string> problems;
  absl::Status missing;
  for (size_t i = 0; i < states.size(); ++i) {
    const absl::StatusOr<NodeState>& state = states[i];
    const bool quarantined = state.ok() && state->replica.has_value() && state->replica->quarantined;
    const std::string& name = all[i].replica->place.name;
    if (all[i].state != MemberState::kServing) continue;
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
    if (!best.has_value() || all[i].replica->applied > all[*best].replica->applied) best = i;
  }
  if (!best.has_value()) {
    if (!missing.ok()) return missing;
    return absl::UnavailableError(absl::StrJoin(problems, "; "));
  }
  return *std::move(states[*best]);
}

ReplicaSet::Replicas ReplicaSet::Order(uint64_t position) {
  Replicas order = Serving();
  std::rotate(order.begin(), order.begin() + turn_.fetch_add(1, std::memory_order_relaxed) % order.size(), order.end());
  // As it is now: others may change it while it is sorted.
  std::vector<std::tuple<bool, uint64_t, std::shared_ptr<Replica>>> ranked;
  for (auto& replica : order) {
    const uint64_t applied = replica->applied, wanted = position == 0 ? std::numeric_limits<uint64_t>::max() : position;
    ranked.emplace_back(replica->failing, wanted - std::min(wanted, applied), std::move(replica));
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  for (size_t i = 0; i < order.size(); ++i) order[i] = std::move(std::get<2>(ranked[i]));
  return order;
}

absl::StatusOr<std::pair<std::shared_ptr<ReplicaSet::Replica>, std::string>> ReplicaSet::OfView(
    const std::string& token) const {
  const size_t slash = token.find('/');
  for (const auto& [replica, state] : All()) {
    if (slash != token.npos && NameInView(replica->place.name) == token.substr(0, slash))
      return std::make_pair(replica, token.substr(slash + 1));
  }
  return absl::FailedPreconditionError(
      "view_token names no view that is still kept: its node is no member of the cluster; begin again without it");
}

SteadyTime ReplicaSet::EndOf(SteadyTime deadline) const { return std::min(deadline, SteadyNow() + timeout_); }

void ReplicaSet::Prepare(UpsertRequest request, uint64_t position,
                         absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done) {
  auto held = std::make_shared<const UpsertRequest>(std::move(request));
  const auto begin = [held](const std::shared_ptr<Replica>& replica, uint64_t at, SteadyTime deadline, auto ended) {
    replica->node->Prepare(*held, at, deadline, std::move(ended));
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
  for (const auto& replica : Order(position)) {
    auto prepared = replica->node->PrepareBackfill(collection, version, after, most_documents, position,
                                                   EndOf(absl::InfiniteDuration()));
    absl::Status error = prepared.status();
    if (prepared.ok() || !IsOfReplica(*replica, position, error)) return prepared;
    errors.Add(replica->place.name, std::move(error));
  }
  return errors.All();
}

void ReplicaSet::CheckRoomFor(const AttributeUpdate& update, absl::AnyInvocable<void(absl::Status)> done) {
  // It is held until it has answered.
  const std::shared_ptr<Replica> replica = Order(head_->Last())[0];
  replica->node->CheckRoomFor(update, SteadyNow() + FirstTry(timeout_),
                              [replica, done = std::move(done)](absl::Status status) mutable {
                                done(absl::IsResourceExhausted(status) ? std::move(status) : absl::OkStatus());
                              });
}

void ReplicaSet::Outcome(const LogPlace& place, uint32_t number,
                         absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done) {
  const auto begin = [number, append = place.append](const std::shared_ptr<Replica>& replica, uint64_t at,
                                                     SteadyTime deadline, auto ended) {
    replica->node->Outcome({at, append}, number, deadline,
                           [ended = std::move(ended)](absl::StatusOr<ChangeOutcome> outcome) mutable {
                             // Another one may have it.
                             if (absl::IsNotFound(outcome.status()))
                               outcome = absl::ResourceExhaustedError(outcome.status().message());
                             // That it is another append no replica can make good.
                             if (absl::IsDataLoss(outcome.status()))
                               outcome = absl::FailedPreconditionError(outcome.status().message());
                             ended(std::move(outcome));
                           });
  };
  auto told = [position = place.position, done = std::move(done)](absl::StatusOr<ChangeOutcome> outcome) mutable {
    if (!absl::IsFailedPrecondition(outcome.status())) return done(std::move(outcome));
    done(absl::UnavailableError(
        absl::StrFormat("the write is in the log, at position %d, and what will come of it is not known: %s", position,
                        outcome.status().message())));
  };
  const auto unknown = [position = place.position](const absl::Status& error, Round<ChangeOutcome>::Done ended) {
    ended(absl::UnavailableError(
        absl::StrFormat("the write is in the log, at position %d: all replicas will make it, or all refuse it, but "
                        "which of these no replica could say in time: %s",
                        position, error.message())));
  };
  auto round = std::make_shared<Round<ChangeOutcome>>(*this, place.position, EndOf(absl::InfiniteDuration()), begin,
                                                      std::move(told));
  round->OrElse(unknown);
  round->Next();
}

void ReplicaSet::Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) {
  auto held = std::make_shared<const SearchRequest>(std::move(request));
  const auto begin = [held](const std::shared_ptr<Replica>& replica, uint64_t at, SteadyTime deadline, auto ended) {
    auto engine = replica->node->EngineAt(at, std::min(deadline, held->deadline));
    if (!engine.ok()) return ended(engine.status());
    SearchRequest own = *held;
    if (!own.view_token.empty()) own.view_token = own.view_token.substr(own.view_token.find('/') + 1);
    (*engine)->Search(std::move(own), [replica, ended = std::move(ended)](absl::StatusOr<SearchResult> found) mutable {
      if (found.ok()) found->view_token = JoinView(replica->place.name, found->view_token);
      ended(std::move(found));
    });
  };
  const SteadyTime end = EndOf(held->deadline);
  // A view is as it was.
  if (!held->view_token.empty()) {
    const auto view = OfView(held->view_token);
    return view.ok() ? begin(view->first, 0, end, std::move(done)) : done(view.status());
  }
  head_->Get([this, begin, end, applied = MostApplied(), done = std::move(done)](LogHead::Answer head) mutable {
    if (head.position < applied) head.known = false;  // WentBack
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
  const auto view = OfView(view_token);
  if (!view.ok()) return;  // gone with its node
  auto engine = view->first->node->EngineAt(0, EndOf(absl::InfiniteDuration()));
  if (engine.ok()) (*engine)->ReleaseView(view->second);
}

}  // namespace bebr
