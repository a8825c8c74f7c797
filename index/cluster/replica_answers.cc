// What the answers of a ReplicaSet's replicas are worth.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "index/cluster/replica_set.h"

namespace bebr {

absl::Status ReplicaSet::MayNotKnow(const Replica& replica, uint64_t position, const absl::Status& error) const {
  const uint64_t applied = replica.applied, end = head_->Last();
  const bool knows = position > 0 || (applied >= end && (applied > 0 || head_->identity() != 0));
  if (!absl::IsNotFound(error) || knows) return error;
  const std::string why = [&] {
    MutexLock lock(&replica.mutex);
    return replica.told.problem;
  }();
  return absl::UnavailableError(
      absl::StrFormat("it has applied the log up to position %d%s, and cannot say what there is: %s%s", applied,
                      end > applied ? absl::StrFormat(" of %d", end) : "", error.message(),
                      why.empty() ? "" : absl::StrCat("; ", why)));
}

bool ReplicaSet::IsOfReplica(Replica& replica, uint64_t position, absl::Status& error) const {
  const bool answered = absl::IsNotFound(error);
  error = MayNotKnow(replica, position, error);
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
      // One that only lacks what would tell it has answered: of what others know as little of, it stays the first
      // asked.
      if (!answered) replica.failing = true;
  }
  const NodePlace& place = replica.place;
  absl::Status named(error.code(), absl::StrFormat("node %s (%s): %s", place.name, place.address, error.message()));
  error.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) { named.SetPayload(type, payload); });
  error = std::move(named);
  return true;
}

void ReplicaSet::Succeeded(Replica& replica, uint64_t position) {
  std::atomic<uint64_t>& applied = replica.applied;
  uint64_t before = applied.load(std::memory_order_relaxed);
  while (before < position && !applied.compare_exchange_weak(before, position)) continue;
}

uint64_t ReplicaSet::MostApplied() const {
  uint64_t most = 0;
  for (const auto& replica : Serving()) {
    if (!replica->failing) most = std::max<uint64_t>(most, replica->applied);
  }
  return most;
}

absl::Status ReplicaSet::WentBack(uint64_t applied, uint64_t end) {
  return absl::UnavailableError(absl::StrFormat(
      "replicas have applied position %d of the log, and it ends at %d: it was brought back to an earlier state, or "
      "PostgreSQL has a leader that was deposed; until that is settled nobody knows what is newest",
      applied, end));
}

}  // namespace bebr
