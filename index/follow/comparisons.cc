#include "index/follow/comparisons.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace bebr {
namespace {

constexpr absl::Duration kLongestPause = absl::Milliseconds(100);  // between looks at who has gone

}  // namespace

void Comparisons::Add(uint64_t position, std::string collection, std::unique_ptr<SeenCollection> seen) {
  Kept kept{.collection = std::move(collection), .seen = std::move(seen), .until = SteadyNow() + kTime};
  MutexLock lock(&mutex_);
  kept_[position] = std::move(kept);
  while (kept_.size() > kMost) kept_.erase(kept_.begin());
}

void Comparisons::Forget(std::string_view collection) {
  MutexLock lock(&mutex_);
  std::erase_if(kept_, [&](const auto& entry) {
    if (entry.second.collection == collection) *entry.second.gone = true;
    return entry.second.collection == collection;
  });
}

void Comparisons::Expire() {
  MutexLock lock(&mutex_);
  std::erase_if(kept_, [now = SteadyNow()](const auto& entry) { return entry.second.until <= now; });
}

absl::StatusOr<CollectionDigest> Comparisons::Digest(uint64_t position, std::string_view collection,
                                                     uint64_t bytes_per_s, const std::atomic<bool>* cancelled) {
  Kept kept;
  {
    MutexLock lock(&mutex_);
    const auto it = kept_.find(position);
    if (it != kept_.end()) kept = it->second;
  }
  if (kept.seen == nullptr || kept.collection != collection) {
    return absl::NotFoundError(absl::StrFormat(
        "it does not keep how collection \"%s\" was at position %d of the log; compare again", collection, position));
  }
  const SteadyTime begun = SteadyNow();
  uint64_t read = 0;
  const auto go_on = [&](uint64_t bytes) -> absl::Status {
    read += bytes;
    for (;;) {
      if (*kept.gone) return absl::FailedPreconditionError("the collection has changed meanwhile; compare again");
      if (cancelled != nullptr && *cancelled) return absl::CancelledError("nobody waits for it any more");
      if (bytes_per_s == 0) return absl::OkStatus();
      const absl::Duration ahead =
          begun + absl::Seconds(static_cast<double>(read) / static_cast<double>(bytes_per_s)) - SteadyNow();
      if (ahead <= absl::ZeroDuration()) return absl::OkStatus();
      absl::SleepFor(std::min(ahead, kLongestPause));
    }
  };
  auto digest = kept.seen->Digest(go_on);
  MutexLock lock(&mutex_);
  if (digest.ok()) kept_.erase(position);
  return digest;
}

}  // namespace bebr
