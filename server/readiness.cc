#include "server/readiness.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/call/hidden_paths.h"

namespace bebr {

namespace {

const char* Told(ReplicaHealth health) {
  switch (health) {
    case ReplicaHealth::kStalled:
      return "does not follow the log";
    case ReplicaHealth::kQuarantined:
      return "is quarantined";
    default:
      return "does not answer";
  }
}

// What is wrong with the log and the replicas of a cluster that has one.
void AddCluster(const ClusterReport& report, std::vector<std::string>& faults) {
  if (!report.log.has_value()) return;
  if (!report.log->problem.empty()) {
    faults.push_back(absl::StrFormat("nothing can be written, since the log %s: %s\n",
                                     report.log->refused ? "refuses this gateway" : "does not answer",
                                     report.log->problem));
  }
  if (!report.log->held.empty()) faults.push_back(absl::StrFormat("the log is kept: %s\n", report.log->held));
  for (const ShareReport& share : report.shares) {
    for (const ReplicaReport& replica : share.replicas) {
      if (!replica.warning.empty())
        faults.push_back(absl::StrFormat("node %s: %s\n", replica.place.name, replica.warning));
      if (replica.member != MemberState::kServing || replica.health == ReplicaHealth::kServing) continue;
      faults.push_back(absl::StrFormat("the replica of slots %d-%d on node %s %s: %s\n", share.first_slot,
                                       share.last_slot, replica.place.name, Told(replica.health), replica.problem));
    }
  }
}

}  // namespace

void Readiness::SetEngine(Engine* engine, const Follower* follower, GatewayEngine* gateway) {
  MutexLock lock(&mutex_);
  engine_ = engine;
  follower_ = follower;
  gateway_ = gateway;
}

ReadyAnswer Readiness::NotReady() const {
  MutexLock lock(&mutex_);
  const absl::Status why = gateway_ == nullptr ? absl::OkStatus() : gateway_->Ready();
  if (why.ok()) return {.ready = false, .text = "not ready\n"};
  return {.ready = false, .text = ForCallers(absl::StrFormat("not ready: %s\n", why.message()))};
}

ReadyAnswer Readiness::Answer() const {
  if (!ready_) return NotReady();
  std::vector<std::string> faults;
  {
    // Held while looking, so that the engine does not close meanwhile.
    MutexLock lock(&mutex_);
    if (engine_ == nullptr) return {.ready = false, .text = "not ready\n"};
    const ReplicaState replica = follower_ == nullptr ? ReplicaState() : follower_->State();
    if (replica.name_taken)
      return {.ready = false, .text = ForCallers(absl::StrFormat("not ready: %s\n", replica.problem))};
    if (replica.quarantined) {
      faults.push_back(absl::StrFormat(
          "the node is quarantined: empty its data_dir and start it again, then it is filled from the log: %s\n",
          replica.problem));
    } else if (!replica.problem.empty()) {
      faults.push_back(absl::StrFormat("the node does not follow the log, from position %d: %s\n", replica.applied,
                                       replica.problem));
    }
    if (!replica.warning.empty()) faults.push_back(absl::StrFormat("%s\n", replica.warning));
    if (gateway_ != nullptr) AddCluster(gateway_->Report(), faults);
    for (const auto& [name, reason] : engine_->UnavailableCollections())
      faults.push_back(absl::StrFormat("collection %s is unavailable: %s\n", name, reason));
    for (const auto& [name, reason] : engine_->ReadOnlyCollections())
      faults.push_back(absl::StrFormat("collection %s takes no writes: %s\n", name, reason));
    for (const auto& [name, reason] : engine_->DamagedCollections())
      faults.push_back(absl::StrFormat("collection %s is damaged: %s\n", name, reason));
  }
  std::string text = faults.empty() ? "ready\n" : "ready, degraded\n";
  for (size_t i = 0; i < faults.size() && i < kMostLines; ++i) text += faults[i];
  if (faults.size() > kMostLines) absl::StrAppendFormat(&text, "and %d more\n", faults.size() - kMostLines);
  return {.ready = true, .text = ForCallers(text)};
}

}  // namespace bebr
