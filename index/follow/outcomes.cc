#include "index/follow/outcomes.h"

#include <string>

#include "absl/strings/str_format.h"

namespace bebr {
namespace {

size_t BytesOf(const ChangeOutcome& outcome) {
  size_t bytes = 0;
  for (const auto* ids : {&outcome.unknown_ids, &outcome.skipped_ids}) {
    for (const std::string& id : *ids) bytes += sizeof(std::string) + id.size();
  }
  return bytes;
}

}  // namespace

void Outcomes::Add(const ChangeKey& key, ChangeOutcome outcome) {
  MutexLock lock(&mutex_);
  bytes_ += BytesOf(outcome);
  outcomes_[key] = std::move(outcome);
  while (outcomes_.size() > kMost || (bytes_ > kMostBytes && outcomes_.size() > 1)) {
    bytes_ -= BytesOf(outcomes_.begin()->second);
    outcomes_.erase(outcomes_.begin());
  }
}

void Outcomes::Note(const LogPlace& place) {
  MutexLock lock(&mutex_);
  appends_[place.position] = place.append;
  if (appends_.size() > kMost) appends_.erase(appends_.begin());
}

absl::StatusOr<ChangeOutcome> Outcomes::Find(const LogPlace& place, uint32_t number) const {
  MutexLock lock(&mutex_);
  const auto append = appends_.find(place.position);
  if (append != appends_.end() && append->second != place.append) {
    return absl::DataLossError(
        absl::StrFormat("append %s was applied at position %d of the log, and %s is asked for: the log and the nodes "
                        "differ; is cluster_log the right database, or was it brought back to an earlier state?",
                        ToText(append->second), place.position, ToText(place.append)));
  }
  const auto it = outcomes_.find({place.position, number});
  if (append != appends_.end() && it != outcomes_.end()) return it->second;
  return absl::NotFoundError(
      absl::StrFormat("it has applied position %d of the log, but what came of change %d there it knows no more",
                      place.position, number));
}

}  // namespace bebr
