// How the replicas of a ReplicaSet are, and what they hold.
#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/cluster/replica_set.h"

namespace bebr {

ShareReport ReplicaSet::Report() const {
  const uint64_t head = head_->Last();
  ShareReport share{.first_slot = slots_.first_slot,
                    .last_slot = slots_.last_slot,
                    .stale_answers = stale_answers_.load(std::memory_order_relaxed)};
  for (const auto& [replica, state] : All()) {
    MutexLock lock(&replica->mutex);
    ReplicaReport& report = share.replicas.emplace_back(replica->report);
    report.member = state;
    report.lag_positions = std::max(report.lag_positions, head - std::min(head, report.applied));
  }
  return share;
}

absl::Status ReplicaSet::CheckLog() const {
  const uint64_t own = head_->identity();
  if (own == 0) return absl::UnavailableError("it is not written: the log has not answered this gateway yet");
  absl::Status other_log;
  bool one_follows = false;
  for (const auto& [replica, state] : All()) {
    if (state != MemberState::kServing) continue;
    MutexLock lock(&replica->mutex);
    other_log.Update(replica->other_log);
    if (replica->report.health == ReplicaHealth::kMissing) continue;
    // As it said when nobody knew yet which log the gateway has.
    if (const uint64_t its = replica->told.log; its != 0 && its != own) {
      other_log.Update(
          AnotherLog(absl::StrFormat("node %s (%s)", replica->place.name, replica->place.address), its, own));
      continue;
    }
    one_follows = true;
    const uint64_t applied = replica->told.applied;
    if (replica->told.quarantined || !head_->EndedBefore(applied, replica->told_at)) continue;
    return absl::UnavailableError(absl::StrFormat(
        "it is not written: node %s has applied position %d of the log, before which the log ends: is cluster_log the "
        "right database, or was it brought back to an earlier state?",
        replica->place.name, applied));
  }
  if (one_follows || other_log.ok()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrFormat("it is not written: %s", other_log.message()));
}

std::vector<ReplicaDigest> ReplicaSet::Digests(const std::string& collection, uint64_t position, uint64_t bytes_per_s,
                                               SteadyTime deadline,
                                               const std::shared_ptr<std::atomic<bool>>& cancelled) const {
  const Replicas serving = Serving();
  std::vector<ReplicaDigest> digests(serving.size());
  ThreadPool reading(serving.size());
  reading.ParallelFor(serving.size(), [&](size_t i) {
    digests[i].node = serving[i]->place.name;
    auto digest = serving[i]->node->Digest(collection, position, bytes_per_s, deadline, cancelled);
    digests[i].status = digest.status();
    if (!digest.ok()) return;
    digests[i].documents = digest->documents;
    digests[i].digest = std::move(digest->digest);
  });
  return digests;
}

template <typename Answer>
std::vector<std::pair<NodePlace, Answer>> ReplicaSet::AskServing(
    const std::function<Answer(ReplicaNode&)>& question) const {
  const Replicas serving = Serving();
  std::vector<std::pair<NodePlace, Answer>> answers(serving.size());
  ThreadPool asking(serving.size());
  asking.ParallelFor(serving.size(), [&](size_t i) { answers[i] = {serving[i]->place, question(*serving[i]->node)}; });
  return answers;
}

std::vector<std::pair<NodePlace, absl::StatusOr<std::vector<ReplicaSnapshot>>>> ReplicaSet::Snapshots(
    const std::string& collection, uint64_t position, SteadyTime deadline) const {
  return AskServing<absl::StatusOr<std::vector<ReplicaSnapshot>>>(
      [&](ReplicaNode& node) { return node.Snapshots(collection, position, deadline); });
}

std::vector<std::pair<NodePlace, absl::Status>> ReplicaSet::CheckSnapshot(const SnapshotInfo& which,
                                                                          SteadyTime deadline) const {
  return AskServing<absl::Status>([&](ReplicaNode& node) { return node.CheckSnapshot(which, deadline); });
}

}  // namespace bebr
