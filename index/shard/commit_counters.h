// What commits count.
#ifndef BEBR_INDEX_SHARD_COMMIT_COUNTERS_H_
#define BEBR_INDEX_SHARD_COMMIT_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "index/types/stats.h"

namespace bebr {

// Counts durations by size. Thread safety: all methods may be called from any thread.
class DurationCounter {
 public:
  void Add(absl::Duration duration) {
    const double seconds = absl::ToDoubleSeconds(duration);
    size_t place = 0;
    while (place < DurationCounts::kBoundsSeconds.size() && seconds > DurationCounts::kBoundsSeconds[place]) ++place;
    counts_[place].fetch_add(1, std::memory_order_relaxed);
    sum_us_.fetch_add(static_cast<uint64_t>(absl::ToInt64Microseconds(duration)), std::memory_order_relaxed);
  }
  DurationCounts counts() const {
    DurationCounts result;
    for (size_t i = 0; i < counts_.size(); ++i) result.counts[i] = counts_[i].load(std::memory_order_relaxed);
    result.sum_seconds = static_cast<double>(sum_us_.load(std::memory_order_relaxed)) / 1e6;
    return result;
  }

 private:
  std::array<std::atomic<uint64_t>, DurationCounts::kBoundsSeconds.size() + 1> counts_{};
  std::atomic<uint64_t> sum_us_{0};
};

// What the commits of all collections add to. Thread safety: as of its members.
struct CommitCounters {
  std::atomic<uint64_t> commit_us{0};       // building, writing and syncing batches
  std::atomic<uint64_t> apply_us{0};        // scan layout and views
  std::atomic<uint64_t> failed_commits{0};  // that storage refused
  DurationCounter waits;                    // of writes, from their call to their commit
  DurationCounter commits;
  DurationCounter syncs;                 // of these, the log's sync
  std::atomic<int64_t> memory_bytes{0};  // gauge: codes, ids and attributes
};

}  // namespace bebr

#endif  // BEBR_INDEX_SHARD_COMMIT_COUNTERS_H_
