#include "index/cluster/cluster_engine.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/logging.h"
#include "index/base/retry.h"
#include "index/base/stable_hash.h"
#include "index/cluster/cluster_engine_impl.h"
#include "index/cluster/merge.h"
#include "index/cluster/state_report.h"

namespace bebr {
namespace {

constexpr absl::Duration kLookInterval = absl::Seconds(1);
// As many calls of a node as there are callers that wait: the threads for blocking calls, those of Detach, the watch.
// Where all of them wait for a node that hangs the next caller asks the nodes one after the other, itself.
constexpr size_t kCallersOfNode = 12;
constexpr size_t kMaxCallers = 96;
constexpr size_t kDetachedThreads = 4;
constexpr size_t kMaxDetached = 256;  // that run or wait
// So often nodes must say that the log ends before what was seen of it: then an older state of it was restored.
constexpr int kMostBehind = 30;

// Whether an error tells of the node and not of what was asked.
bool IsOfNode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kCancelled:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::unique_ptr<GatewayEngine> MakeClusterEngine(std::vector<ClusterMember> members) {
  return std::make_unique<ClusterEngine>(std::move(members));
}

ClusterEngine::ClusterEngine(std::vector<ClusterMember> members)
    : members_(std::move(members)),
      states_(members_.size(), absl::UnavailableError("has not answered yet")),
      callers_(std::min(kMaxCallers, kCallersOfNode * (members_.size() - 1))),
      detached_(kDetachedThreads) {
  for (size_t m = 0; m < members_.size(); ++m) {
    for (uint32_t slot = members_[m].place.first_slot; slot <= members_[m].place.last_slot; ++slot)
      member_of_slot_[slot] = static_cast<uint8_t>(m);
  }
  Look();
  watch_ = std::thread([this] { KeepLooking(); });
}

ClusterEngine::~ClusterEngine() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  watch_.join();
}

absl::Status ClusterEngine::Detach(absl::AnyInvocable<void()> work) {
  if (waiting_.fetch_add(1) >= kMaxDetached) {
    waiting_.fetch_sub(1);
    return TryAgainLater(
        absl::StrFormat("%d writes by filter, or searches with lists, wait and the limit is %d; try again later",
                        kMaxDetached, kMaxDetached));
  }
  detached_.Submit([this, work = std::move(work)]() mutable {
    work();
    waiting_.fetch_sub(1);
  });
  return absl::OkStatus();
}

void ClusterEngine::ForEach(const std::function<void(size_t)>& body) {
  callers_.ParallelFor(members_.size(), [&](size_t node, size_t) { body(node); });
}

void ClusterEngine::Look() {
  std::vector<absl::StatusOr<NodeState>> states(members_.size(), absl::UnknownError(""));
  ForEach([&](size_t node) { states[node] = members_[node].node->State(); });
  MutexLock lock(&mutex_);
  std::set<std::string> collections;
  bool all = true;
  std::map<std::string, std::string> aliases;
  const NodeState* furthest = nullptr;  // of those that follow a log
  for (size_t node = 0; node < states.size(); ++node) {
    const absl::StatusOr<NodeState>& state = states[node];
    if (state.ok() != states_[node].ok() || (!state.ok() && state.status() != states_[node].status())) {
      LogInfo("node {} at {}: {}", PlaceOf(node).name, PlaceOf(node).address,
              state.ok() ? "answers" : std::string(state.status().message()));
    }
    all &= state.ok();
    if (!state.ok()) continue;
    knows_ |= !state->replica.has_value() || (state->replica->applied > 0 && state->replica->seed_bytes == 0);
    collections.insert(state->collections.begin(), state->collections.end());
    if (state->replica.has_value()) {
      if (furthest == nullptr || state->replica->applied > furthest->replica->applied) furthest = &*state;
      continue;
    }
    for (const Alias& alias : state->aliases) aliases.try_emplace(alias.name, alias.collection);
  }
  // What only a node that does not answer now may know stays known.
  if (!all) collections.insert(collections_.begin(), collections_.end());
  if (furthest == nullptr) {
    if (!all) aliases.insert(aliases_.begin(), aliases_.end());
  } else if (MayTell(*furthest->replica)) {
    seen_ = furthest->replica->applied;
    for (const Alias& alias : furthest->aliases) aliases[alias.name] = alias.collection;
  } else {
    aliases = aliases_;
  }
  collections_.assign(collections.begin(), collections.end());
  aliases_ = std::move(aliases);
  states_ = std::move(states);
}

// An alias must not go back: what is written to it then would be in a collection that it names no more.
bool ClusterEngine::MayTell(const ReplicaState& replica) {
  if (replica.applied >= seen_) return true;
  behind_ = replica.problem.empty() && replica.head < seen_ ? behind_ + 1 : 0;
  if (behind_ < kMostBehind) return false;
  behind_ = 0;
  return true;
}

absl::Status ClusterEngine::Ready() {
  MutexLock lock(&mutex_);
  if (knows_) return absl::OkStatus();
  std::vector<std::string> nodes;
  for (size_t node = 0; node < states_.size(); ++node) {
    const std::string why(states_[node].ok() ? states_[node]->replica->problem : states_[node].status().message());
    nodes.push_back(absl::StrFormat("node %s: %s", PlaceOf(node).name, why.empty() ? "it has nothing yet" : why));
  }
  return absl::UnavailableError(
      absl::StrFormat("this gateway does not know yet which collections there are: %s", absl::StrJoin(nodes, "; ")));
}

bool ClusterEngine::IsNew() {
  MutexLock lock(&mutex_);
  return std::any_of(states_.begin(), states_.end(), [](const absl::StatusOr<NodeState>& state) {
    return state.ok() && state->replica.has_value() && state->replica->log != 0 && state->replica->head == 0;
  });
}

uint64_t ClusterEngine::Seen() {
  MutexLock lock(&mutex_);
  return seen_;
}

void ClusterEngine::NoteAlias(uint64_t position, const std::string& alias, std::optional<std::string> collection) {
  MutexLock lock(&mutex_);
  if (position <= seen_) return;
  seen_ = position;
  if (collection.has_value()) {
    aliases_[alias] = *std::move(collection);
  } else {
    aliases_.erase(alias);
  }
}

void ClusterEngine::KeepLooking() {
  for (;;) {
    {
      MutexLock lock(&mutex_);
      if (!ending_) changed_.WaitFor(&mutex_, kLookInterval);
      if (ending_) return;
    }
    Look();
  }
}

absl::Status ClusterEngine::FirstError(absl::Span<const size_t> nodes, absl::Span<const absl::Status> outcomes) const {
  absl::Status error;
  size_t of = 0;
  bool some_ok = false;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    some_ok |= outcomes[i].ok();
    if (outcomes[i].ok() || (!error.ok() && (IsOfNode(outcomes[i].code()) || !IsOfNode(error.code())))) continue;
    error = outcomes[i];
    of = nodes.empty() ? i : nodes[i];
  }
  // What is wrong with the request is so for all nodes alike.
  return error.ok() || (!some_ok && !IsOfNode(error.code())) ? error : OfNode(of, error);
}

NodePlace ClusterEngine::PlaceOf(size_t node) const {
  const ClusterMember& member = members_[node];
  NodePlace place = member.node->place();
  return place.name.empty() ? member.place : place;
}

absl::Status ClusterEngine::OfNode(size_t node, const absl::Status& error) const {
  const NodePlace place = PlaceOf(node);
  absl::Status named(error.code(), absl::StrFormat("node %s (%s): %s", place.name, place.address, error.message()));
  error.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) { named.SetPayload(type, payload); });
  return named;
}

absl::Status ClusterEngine::StateOf(size_t node) {
  MutexLock lock(&mutex_);
  return states_[node].status();
}

absl::Status ClusterEngine::Hung(size_t node) {
  const absl::Status state = StateOf(node);
  if (!absl::IsDeadlineExceeded(state)) return absl::OkStatus();
  return absl::UnavailableError(absl::StrFormat("it hung when it was last asked how it is: %s", state.message()));
}

size_t ClusterEngine::NodeOf(std::string_view id) const { return member_of_slot_[StableHash(id) % kClusterSlots]; }

std::vector<std::vector<size_t>> ClusterEngine::Split(absl::Span<const std::string> ids) const {
  std::vector<std::vector<size_t>> of_node(members_.size());
  for (size_t i = 0; i < ids.size(); ++i) of_node[NodeOf(ids[i])].push_back(i);
  return of_node;
}

std::vector<std::string> ClusterEngine::ListCollections() {
  MutexLock lock(&mutex_);
  return collections_;
}

std::vector<UnavailableCollection> ClusterEngine::UnavailableCollections() {
  MutexLock lock(&mutex_);
  std::map<std::string, std::string> reasons;
  for (size_t node = 0; node < states_.size(); ++node) {
    const std::string name = PlaceOf(node).name;
    if (!states_[node].ok()) {
      for (const std::string& collection : collections_)
        reasons.try_emplace(collection, absl::StrFormat("node %s: %s", name, states_[node].status().message()));
      continue;
    }
    for (const UnavailableCollection& one : states_[node]->unavailable)
      reasons.try_emplace(one.name, absl::StrFormat("node %s: %s", name, one.reason));
  }
  std::vector<UnavailableCollection> unavailable;
  for (const auto& [collection, reason] : reasons) unavailable.push_back({collection, reason});
  return unavailable;
}

std::vector<ReadOnlyCollection> ClusterEngine::ReadOnlyCollections() {
  MutexLock lock(&mutex_);
  std::vector<ReadOnlyCollection> all;
  for (size_t node = 0; node < states_.size(); ++node) {
    if (!states_[node].ok()) continue;
    for (const ReadOnlyCollection& one : states_[node]->read_only)
      all.push_back({one.name, absl::StrFormat("node %s: %s", PlaceOf(node).name, one.reason)});
  }
  return all;
}

std::vector<DamagedCollection> ClusterEngine::DamagedCollections() {
  MutexLock lock(&mutex_);
  std::vector<DamagedCollection> all;
  for (size_t node = 0; node < states_.size(); ++node) {
    if (!states_[node].ok()) continue;
    for (const DamagedCollection& one : states_[node]->damaged)
      all.push_back({one.name, absl::StrFormat("node %s: %s", PlaceOf(node).name, one.reason)});
  }
  return all;
}

std::vector<Alias> ClusterEngine::ListAliases() {
  MutexLock lock(&mutex_);
  std::vector<Alias> all;
  for (const auto& [alias, collection] : aliases_) all.push_back({alias, collection});
  return all;
}

std::string ClusterEngine::Resolve(std::string_view name) {
  MutexLock lock(&mutex_);
  const auto alias = aliases_.find(std::string(name));
  return alias == aliases_.end() ? std::string(name) : alias->second;
}

EngineStats ClusterEngine::Stats() {
  MutexLock lock(&mutex_);
  std::vector<EngineStats> parts;
  for (const auto& state : states_) {
    if (state.ok()) parts.push_back(state->stats);
  }
  return MergeStats(parts);
}

ClusterReport ClusterEngine::Report() {
  ClusterReport report;
  MutexLock lock(&mutex_);
  for (size_t node = 0; node < states_.size(); ++node) {
    const NodePlace& place = members_[node].place;
    ReplicaReport replica{.place = place};
    NoteState(states_[node], replica);
    report.shares.push_back({.first_slot = place.first_slot, .last_slot = place.last_slot, .replicas = {replica}});
  }
  return report;
}

absl::StatusOr<std::vector<ShareComparison>> ClusterEngine::Verify(const std::string&,
                                                                   std::shared_ptr<std::atomic<bool>>) {
  return absl::FailedPreconditionError("the cluster has no log, and so no replicas that could be compared");
}

}  // namespace bebr
