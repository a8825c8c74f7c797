// How a replicated cluster is, and whether its replicas hold the same.
#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/cluster/replicated_engine_impl.h"

namespace bebr {
namespace {

constexpr absl::Duration kMostReading = absl::Hours(24);  // of a collection by a replica

void Judge(ShareComparison& comparison) {
  std::set<std::string> digests;
  for (const ReplicaDigest& replica : comparison.replicas) {
    if (replica.status.ok()) digests.insert(replica.digest);
  }
  comparison.differs = digests.size() > 1;
  comparison.compared = absl::Now();
}

bool Failed(const ShareComparison& comparison) {
  return std::any_of(comparison.replicas.begin(), comparison.replicas.end(),
                     [](const ReplicaDigest& replica) { return !replica.status.ok(); });
}

std::string Told(const ShareComparison& comparison) {
  std::string told = absl::StrFormat("replicas of slots %d-%d differ, as they were after position %d of the log:",
                                     comparison.first_slot, comparison.last_slot, comparison.position);
  for (const ReplicaDigest& replica : comparison.replicas) {
    absl::StrAppendFormat(&told, " node %s %s;", replica.node,
                          replica.status.ok() ? replica.digest : "was not compared");
  }
  told.pop_back();
  return told;
}

}  // namespace

ClusterReport ReplicatedEngine::Report() {
  ClusterReport report;
  for (ReplicaSet* set : sets_) report.shares.push_back(set->Report());
  report.members_revision = keeper_.revision();
  report.members_replaced = keeper_.replaced();
  report.log = head_->Report();
  lane_.AddTo(*report.log);
  report.log->held = keeper_.held();
  MutexLock lock(&verified_mutex_);
  for (const auto& [subject, comparison] : differences_) report.differences.push_back(comparison);
  report.comparisons = compared_;
  return report;
}

absl::Status ReplicatedEngine::Ready() {
  absl::Status known = ClusterEngine::Ready();
  if (known.ok()) return known;
  const LogReport log = head_->Report();
  if (log.head == 0 && head_->identity() != 0 && IsNew()) return absl::OkStatus();
  if (log.problem.empty()) return known;
  return absl::UnavailableError(absl::StrFormat("%s; the log: %s", known.message(), log.problem));
}

std::vector<DamagedCollection> ReplicatedEngine::DamagedCollections() {
  std::vector<DamagedCollection> damaged = ClusterEngine::DamagedCollections();
  MutexLock lock(&verified_mutex_);
  for (const auto& [subject, comparison] : differences_) damaged.push_back({comparison.collection, Told(comparison)});
  return damaged;
}

absl::StatusOr<std::vector<ShareComparison>> ReplicatedEngine::Verify(const std::string& collection,
                                                                      std::shared_ptr<std::atomic<bool>> cancelled) {
  std::vector<std::string> names = ListCollections();
  if (!collection.empty()) names = {Resolve(collection)};
  std::vector<ShareComparison> all;
  for (const std::string& name : names) {
    auto compared = Compare(name, /*bytes_per_s=*/0, cancelled);
    // Of all, one may be dropped meanwhile.
    if (collection.empty() && absl::IsNotFound(compared.status())) continue;
    BEBR_RETURN_IF_ERROR(compared.status());
    std::move(compared->begin(), compared->end(), std::back_inserter(all));
  }
  return all;
}

absl::StatusOr<std::vector<ShareComparison>> ReplicatedEngine::Compare(const std::string& collection,
                                                                       uint64_t bytes_per_s,
                                                                       std::shared_ptr<std::atomic<bool>> cancelled) {
  MutexLock one_at_a_time(&comparing_);
  BEBR_ASSIGN_OR_RETURN(const uint64_t position, Made({.kind = LogChangeKind::kCompare, .name = collection}));
  std::vector<ShareComparison> all;
  std::vector<std::thread> reading;
  all.reserve(sets_.size());  // threads write into it
  for (ReplicaSet* set : sets_) {
    const NodePlace place = set->place();
    all.push_back(
        {.collection = collection, .first_slot = place.first_slot, .last_slot = place.last_slot, .position = position});
    reading.emplace_back([&, set, comparison = &all.back()] {
      comparison->replicas = set->Digests(collection, position, bytes_per_s, SteadyNow() + kMostReading, cancelled);
    });
  }
  for (std::thread& thread : reading) thread.join();
  if (cancelled != nullptr && *cancelled) return absl::CancelledError("nobody waits for it any more");
  for (ShareComparison& comparison : all) {
    Judge(comparison);
    Note(comparison);
  }
  return all;
}

void ReplicatedEngine::Note(const ShareComparison& comparison) {
  if (comparison.differs) LogError("collection {}: {}", comparison.collection, Told(comparison));
  const std::pair subject(comparison.collection, comparison.first_slot);
  const bool failed = Failed(comparison);
  MutexLock lock(&verified_mutex_);
  (comparison.differs ? compared_.different : failed ? compared_.failed : compared_.equal) += 1;
  // What could not be compared now says nothing of what was found before.
  if (comparison.differs) differences_[subject] = comparison;
  if (!comparison.differs && !failed) differences_.erase(subject);
}

void ReplicatedEngine::KeepComparing(absl::Duration interval, uint64_t bytes_per_s) {
  const auto rests = [&](absl::Duration time) {
    const SteadyTime end = SteadyNow() + time;
    MutexLock lock(&verified_mutex_);
    while (!*ending_ && SteadyNow() < end) wake_.WaitFor(&verified_mutex_, end - SteadyNow());
    return !*ending_;
  };
  while (rests(interval)) {
    const std::vector<std::string> names = ListCollections();
    {
      // Those of collections that are there no more.
      MutexLock lock(&verified_mutex_);
      std::erase_if(differences_, [&](const auto& entry) {
        return std::find(names.begin(), names.end(), entry.first.first) == names.end();
      });
    }
    for (const std::string& name : names) {
      if (*ending_) return;
      const auto compared = Compare(name, bytes_per_s, ending_);
      if (!compared.ok() && !absl::IsCancelled(compared.status()))
        LogWarning("replicas of collection {} were not compared: {}", name, compared.status().ToString());
    }
  }
}

}  // namespace bebr
