// How the replicas of a ReplicaSet are, and what they hold.
#include <algorithm>
#include <utility>

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

std::vector<std::pair<NodePlace, absl::StatusOr<std::vector<ReplicaSnapshot>>>> ReplicaSet::Snapshots(
    const std::string& collection, uint64_t position, SteadyTime deadline) const {
  const Replicas serving = Serving();
  std::vector<std::pair<NodePlace, absl::StatusOr<std::vector<ReplicaSnapshot>>>> answers(serving.size());
  ThreadPool asking(serving.size());
  asking.ParallelFor(serving.size(), [&](size_t i) {
    answers[i] = {serving[i]->place, serving[i]->node->Snapshots(collection, position, deadline)};
  });
  return answers;
}

std::vector<std::pair<NodePlace, absl::Status>> ReplicaSet::CheckSnapshot(const SnapshotInfo& which,
                                                                          SteadyTime deadline) const {
  const Replicas serving = Serving();
  std::vector<std::pair<NodePlace, absl::Status>> answers(serving.size());
  ThreadPool asking(serving.size());
  asking.ParallelFor(serving.size(), [&](size_t i) {
    answers[i] = {serving[i]->place, serving[i]->node->CheckSnapshot(which, deadline)};
  });
  return answers;
}

}  // namespace bebr
