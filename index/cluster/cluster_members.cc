#include "index/cluster/cluster_members.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

// A member that joins serves once it is behind the log's end by no more than this: reads wait for the rest.
constexpr uint64_t kNearPositions = 64;

// Whether it has all that its share has, or nearly.
bool HasComeUp(const MemberReport& report) {
  const ReplicaState& replica = report.replica;
  return report.answers && replica.problem.empty() && !replica.quarantined && replica.seed_bytes == 0 &&
         replica.head > 0 && replica.applied + kNearPositions >= replica.head;
}

bool SameShare(const NodePlace& a, const NodePlace& b) {
  return a.first_slot == b.first_slot && a.last_slot == b.last_slot;
}

std::string SlotsOf(const NodePlace& place) { return absl::StrFormat("%d-%d", place.first_slot, place.last_slot); }

Member* Find(Placement& placement, std::string_view name) {
  for (Member& member : placement.members) {
    if (member.place.name == name) return &member;
  }
  return nullptr;
}

// Another one that has the address.
const Member* FindAddress(const Placement& placement, const NodePlace& place) {
  for (const Member& member : placement.members) {
    if (member.place.name != place.name && member.place.address == place.address) return &member;
  }
  return nullptr;
}

absl::Status Taken(const NodePlace& place, const Member& other) {
  return absl::FailedPreconditionError(absl::StrFormat("node %s cannot be at %s: node %s, which is a member, is there",
                                                       place.name, place.address, other.place.name));
}

absl::Status AddOrMove(Placement& placement, const NodePlace& place, bool configured) {
  Member* const known = Find(placement, place.name);
  if (known != nullptr) {
    if (!SameShare(known->place, place)) {
      return absl::FailedPreconditionError(
          absl::StrFormat("node %s is a member with slots %s, and is to be one with %s: drain it first, and give what "
                          "comes in its place another name",
                          place.name, SlotsOf(known->place), SlotsOf(place)));
    }
    known->place.address = place.address;
    known->configured = configured;
    if (known->state == MemberState::kDraining) known->state = MemberState::kJoining;
    return absl::OkStatus();
  }
  if (placement.members.size() >= kMaxClusterNodes) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("the cluster has %d members; the limit is %d", placement.members.size(), kMaxClusterNodes));
  }
  placement.members.push_back({place, MemberState::kJoining, configured});
  return absl::OkStatus();
}

}  // namespace

ClusterMembers::ClusterMembers(MembersOptions options, std::vector<ReplicaSet*> sets)
    : options_(std::move(options)), sets_(std::move(sets)), placement_log_(options_.open_placement) {
  {
    MutexLock lock(&mutex_);
    placement_.members = options_.first;
  }
  if (options_.open_placement != nullptr) thread_ = std::thread([this] { Run(); });
}

void ClusterMembers::Stop() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void ClusterMembers::Run() {
  for (;;) {
    Look();
    MutexLock lock(&mutex_);
    if (!ending_) changed_.WaitFor(&mutex_, options_.interval);
    if (ending_) return;
  }
}

void ClusterMembers::Look() {
  const absl::Status followed = FollowPlacement();
  Note(placement_problem_, "members", followed);
  if (SteadyNow() - looked_at_log_ < options_.trim_interval) return;
  looked_at_log_ = SteadyNow();
  if (!followed.ok()) return;
  const absl::Status looked = TrimLog();
  if (!looked.ok()) log_.reset();
  Note(trim_problem_, "the log's size", looked);
}

void ClusterMembers::Note(std::string& noted, std::string_view what, const absl::Status& status) {
  const std::string text(status.message());
  if (noted == text) return;
  noted = text;
  if (MustBeMended(status)) return LogError("{} cannot be looked after: {}", std::string(what), text);
  LogWarning("{} {} looked after{}", std::string(what), status.ok() ? "can be" : "cannot be",
             status.ok() ? "" : ": " + text);
}

absl::Status ClusterMembers::FollowPlacement() {
  BEBR_ASSIGN_OR_RETURN(Placement placement, placement_log_.Read());
  if (placement.revision == 0) {
    BEBR_ASSIGN_OR_RETURN(placement, placement_log_.Change([&](Placement& first) {
      if (first.revision == 0) first.members = options_.first;
      return absl::OkStatus();
    }));
  }
  {
    // One that a change by this gateway has overtaken; or an older state of the log was restored.
    MutexLock lock(&mutex_);
    older_ = placement.revision < placement_.revision && !older_;
    if (older_) return absl::OkStatus();
  }
  TakeOver(placement);
  BEBR_RETURN_IF_ERROR(FinishJoins(placement));
  BEBR_RETURN_IF_ERROR(DrainDead(placement));
  return FinishDrains(placement);
}

void ClusterMembers::TakeOver(Placement placement) {
  UseConfigured(options_.first, placement);
  MutexLock one_at_a_time(&taking_over_);
  {
    MutexLock lock(&mutex_);
    if (placement_.revision != placement.revision)
      LogInfo("the cluster's members are those of revision {}", placement.revision);
    placement_ = placement;
  }
  // Each time, so that those that are gone end when their calls have.
  for (ReplicaSet* const set : sets_) {
    std::vector<Member> members;
    for (const Member& member : placement.members) {
      if (SameShare(member.place, set->place())) members.push_back(member);
    }
    set->SetMembers(members, options_.make_node);
  }
}

std::vector<MemberReport> ClusterMembers::Reports() const {
  std::vector<MemberReport> all;
  for (const ReplicaSet* const set : sets_) {
    for (MemberReport& report : set->Reports()) all.push_back(std::move(report));
  }
  return all;
}

absl::Status ClusterMembers::FinishJoins(const Placement& placement) {
  const auto joins = [](const Member& member) { return member.state == MemberState::kJoining; };
  if (std::none_of(placement.members.begin(), placement.members.end(), joins)) return absl::OkStatus();
  std::set<std::string> ready;
  for (const MemberReport& report : Reports()) {
    if (joins(report.member) && HasComeUp(report)) ready.insert(report.member.place.name);
  }
  if (ready.empty()) return absl::OkStatus();
  return Change([&](Placement& now) {
           for (Member& member : now.members) {
             if (joins(member) && ready.contains(member.place.name)) member.state = MemberState::kServing;
           }
           return absl::OkStatus();
         })
      .status();
}

absl::Status ClusterMembers::FinishDrains(const Placement& placement) {
  std::map<std::string, SteadyTime> since;
  bool over = false;
  for (const Member& member : placement.members) {
    if (member.state != MemberState::kDraining) continue;
    const auto before = draining_since_.find(member.place.name);
    since[member.place.name] = before == draining_since_.end() ? SteadyNow() : before->second;
    over = over || SteadyNow() - since[member.place.name] >= options_.drain;
  }
  draining_since_ = std::move(since);
  if (!over) return absl::OkStatus();
  return Change([&](Placement& now) {
           std::erase_if(now.members, [&](const Member& member) {
             const auto drains = draining_since_.find(member.place.name);
             return member.state == MemberState::kDraining && drains != draining_since_.end() &&
                    SteadyNow() - drains->second >= options_.drain;
           });
           return absl::OkStatus();
         })
      .status();
}

bool ClusterMembers::IsReplaced(const Placement& placement, const Member& dead) const {
  const auto first = std::count_if(options_.first.begin(), options_.first.end(),
                                   [&](const Member& member) { return SameShare(member.place, dead.place); });
  const std::vector<MemberReport> reports = Reports();
  const auto serves = [&](const Member& member) {
    return std::any_of(reports.begin(), reports.end(), [&](const MemberReport& report) {
      return report.member.place.name == member.place.name && HasComeUp(report);
    });
  };
  const auto others = std::count_if(placement.members.begin(), placement.members.end(), [&](const Member& member) {
    return member.place.name != dead.place.name && member.state == MemberState::kServing &&
           SameShare(member.place, dead.place) && serves(member);
  });
  return first > 0 && others >= first;
}

absl::Status ClusterMembers::DrainDead(const Placement& placement) {
  if (options_.replace_after <= absl::ZeroDuration()) return absl::OkStatus();
  std::map<std::string, SteadyTime> since;
  for (const MemberReport& report : Reports()) {
    const std::string& name = report.member.place.name;
    if (report.answers || report.member.state != MemberState::kServing) continue;
    const auto before = missing_since_.find(name);
    since[name] = before == missing_since_.end() ? SteadyNow() : before->second;
  }
  missing_since_ = std::move(since);
  for (const Member& dead : placement.members) {
    const auto missing = missing_since_.find(dead.place.name);
    if (missing == missing_since_.end() || SteadyNow() - missing->second < options_.replace_after) continue;
    if (!IsReplaced(placement, dead)) continue;
    bool drained = false;
    BEBR_RETURN_IF_ERROR(Change([&](Placement& now) {
                           Member* const member = Find(now, dead.place.name);
                           drained =
                               member != nullptr && member->state == MemberState::kServing && IsReplaced(now, *member);
                           if (drained) member->state = MemberState::kDraining;
                           return absl::OkStatus();
                         }).status());
    if (!drained) continue;
    replaced_ += 1;
    LogWarning("node {} has not answered for {} s, and others of its share serve in its place: it is drained",
               dead.place.name, absl::ToInt64Seconds(options_.replace_after));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> ClusterMembers::Change(absl::FunctionRef<absl::Status(Placement&)> change) {
  BEBR_ASSIGN_OR_RETURN(const Placement placement, placement_log_.Change(change));
  TakeOver(placement);
  return placement.revision;
}

uint64_t ClusterMembers::revision() {
  MutexLock lock(&mutex_);
  return placement_.revision;
}

absl::Status ClusterMembers::CheckMove(const NodePlace& to) {
  const auto moves = [&] {
    MutexLock lock(&mutex_);
    const Member* const known = Find(placement_, to.name);
    return known != nullptr && known->place.address != to.address && SameShare(known->place, to);
  };
  if (!moves()) return absl::OkStatus();
  // A wrong address would take away a replica that serves.
  const absl::Status there = options_.make_node(to)->State().status();
  if (there.ok()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("node %s stays where it is, since it does not answer at %s: %s; start it there first", to.name,
                      to.address, there.message()));
}

absl::StatusOr<uint64_t> ClusterMembers::Join(const NodePlace& place) {
  if (options_.open_placement == nullptr)
    return absl::UnimplementedError("the members of this cluster stay as they are");
  const bool there =
      std::any_of(sets_.begin(), sets_.end(), [&](const ReplicaSet* set) { return SameShare(set->place(), place); });
  if (!there) {
    return absl::FailedPreconditionError(
        absl::StrFormat("no share of the cluster has slots %s: nodes join with those of a share that there is, and "
                        "shares stay as they are",
                        SlotsOf(place)));
  }
  NodePlace reached = place;
  for (const Member& own : options_.first) {
    if (place.address.empty() && own.place.name == place.name) reached.address = own.place.address;
  }
  if (reached.address.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "address is empty, and cluster_nodes of this gateway has no node \"%s\": say its HOST:PORT", place.name));
  }
  BEBR_RETURN_IF_ERROR(CheckMove(reached));
  return Change([&](Placement& now) {
    Placement seen = now;  // from here
    UseConfigured(options_.first, seen);
    if (const Member* const other = FindAddress(seen, reached); other != nullptr) return Taken(reached, *other);
    return AddOrMove(now, reached, /*configured=*/place.address.empty());
  });
}

absl::StatusOr<uint64_t> ClusterMembers::Drain(std::string_view node) {
  if (options_.open_placement == nullptr)
    return absl::UnimplementedError("the members of this cluster stay as they are");
  return Change([&](Placement& now) -> absl::Status {
    Member* const drained = Find(now, node);
    if (drained == nullptr) return absl::NotFoundError(absl::StrFormat("no node \"%s\" is a member", node));
    const std::vector<MemberReport> reports = Reports();
    const bool others = std::any_of(now.members.begin(), now.members.end(), [&](const Member& member) {
      if (member.place.name == node || member.state != MemberState::kServing ||
          !SameShare(member.place, drained->place))
        return false;
      return std::any_of(reports.begin(), reports.end(), [&](const MemberReport& report) {
        return report.member.place.name == member.place.name && HasComeUp(report);
      });
    });
    // One that does not serve yet leaves its share as it is.
    if (!others && drained->state == MemberState::kServing) {
      return absl::FailedPreconditionError(
          absl::StrFormat("of slots %s no other replica serves and has come up with the log than the one on node %s, "
                          "which would take them with it: let another node join first, or start one that there is",
                          SlotsOf(drained->place), node));
    }
    drained->state = MemberState::kDraining;
    return absl::OkStatus();
  });
}

}  // namespace bebr
