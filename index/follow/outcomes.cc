#include "index/follow/outcomes.h"

#include <string>

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

std::optional<ChangeOutcome> Outcomes::Find(const ChangeKey& key) const {
  MutexLock lock(&mutex_);
  const auto it = outcomes_.find(key);
  return it == outcomes_.end() ? std::nullopt : std::optional<ChangeOutcome>(it->second);
}

}  // namespace bebr
