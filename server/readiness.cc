#include "server/readiness.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/call/hidden_paths.h"

namespace bebr {

void Readiness::SetEngine(Engine* engine, const Follower* follower) {
  MutexLock lock(&mutex_);
  engine_ = engine;
  follower_ = follower;
}

ReadyAnswer Readiness::Answer() const {
  if (!ready_) return {.ready = false, .text = "not ready\n"};
  std::vector<std::string> faults;
  {
    // Held while looking, so that the engine does not close meanwhile.
    MutexLock lock(&mutex_);
    if (engine_ == nullptr) return {.ready = false, .text = "not ready\n"};
    const ReplicaState replica = follower_ == nullptr ? ReplicaState() : follower_->State();
    if (replica.quarantined) {
      faults.push_back(absl::StrFormat(
          "the node is quarantined: empty its data_dir and start it again, then it is filled from the log: %s\n",
          replica.problem));
    } else if (!replica.problem.empty()) {
      faults.push_back(absl::StrFormat("the node does not follow the log, from position %d: %s\n", replica.applied,
                                       replica.problem));
    }
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
