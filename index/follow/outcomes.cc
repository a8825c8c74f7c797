#include "index/follow/outcomes.h"

namespace bebr {
namespace {

size_t IdsOf(const ChangeOutcome& outcome) { return outcome.unknown_ids.size() + outcome.skipped_ids.size(); }

}  // namespace

void Outcomes::Add(const ChangeKey& key, ChangeOutcome outcome) {
  MutexLock lock(&mutex_);
  ids_ += IdsOf(outcome);
  outcomes_[key] = std::move(outcome);
  while (outcomes_.size() > kMost || (ids_ > kMostIds && outcomes_.size() > 1)) {
    ids_ -= IdsOf(outcomes_.begin()->second);
    outcomes_.erase(outcomes_.begin());
  }
}

std::optional<ChangeOutcome> Outcomes::Find(const ChangeKey& key) const {
  MutexLock lock(&mutex_);
  const auto it = outcomes_.find(key);
  return it == outcomes_.end() ? std::nullopt : std::optional<ChangeOutcome>(it->second);
}

}  // namespace bebr
