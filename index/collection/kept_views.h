// Views of collections that outlive the call that took them.
#ifndef BEBR_INDEX_COLLECTION_KEPT_VIEWS_H_
#define BEBR_INDEX_COLLECTION_KEPT_VIEWS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/catalog/manifest.h"
#include "index/shard/shard_set.h"
#include "index/types/collection.h"

namespace bebr {

// By version number, what probes of a version's searches find: RecallSample::probe.
using ProbeCurves = std::map<uint32_t, std::vector<ProbePoint>>;

// A collection as it was at one moment, its versions with it.
struct PinnedView {
  std::shared_ptr<const CollectionManifest> manifest;
  std::shared_ptr<ShardSet> shards;  // whose view it is; goes after it
  std::shared_ptr<const CollectionView> view;
  std::shared_ptr<const ProbeCurves> probes;  // as they were known then; null: none were
};

// KeptViews holds views for calls to come, each under a token that nobody can guess, until its time is over. While one
// is held, what was replaced or deleted since stays in memory and on disk; calls may keep it longer and longer, but not
// beyond `longest` from when it was taken.
//
// A view is found for the open collection it was taken of only, so a token is of no use for another one, nor once that
// was dropped or opened again. Thread safety: all methods may be called from any thread. Cost: log n; views are let go
// of outside the lock.
class KeptViews {
 public:
  static constexpr size_t kDefaultMost = 64;

  explicit KeptViews(absl::Duration longest = absl::Hours(1)) : longest_(longest) {}

  // At most so many are kept; those that are there stay.
  void SetMost(size_t most) { most_ = most; }
  // Keeps a view for `how_long` and returns its token. RESOURCE_EXHAUSTED if as many are kept as may be: in all, of one
  // collection, which may have half of them, or of one owner, who may have half of what others leave.
  absl::StatusOr<std::string> Keep(PinnedView view, std::string_view owner, absl::Duration how_long);
  // The view of a token, which is then kept for `how_long` from now on, unless that is 0. FAILED_PRECONDITION if there
  // is none of `shards`.
  absl::StatusOr<PinnedView> Find(std::string_view token, const ShardSet* shards, absl::Duration how_long);
  void Release(const std::string& token);
  // Lets go of all views of a collection; of those whose time is over; of all.
  void Forget(const ShardSet* shards);
  void Expire();
  void Clear();
  // With those whose time is over until somebody notices.
  size_t count() const;
  // Memory of what the views see and their collections have no more, replaced or deleted since, as of the last
  // Measure(), in bytes. Cost of that: a look at each segment that a view sees.
  uint64_t held_bytes() const { return held_bytes_.load(std::memory_order_relaxed); }
  void Measure();

 private:
  struct Entry {
    PinnedView view;
    std::string owner;
    SteadyTime until;
    SteadyTime last;  // that `until` may be
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  // Takes out what `goes` says, for the caller to let go of.
  template <typename Goes>
  Entries TakeOut(const Goes& goes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const absl::Duration longest_;
  std::atomic<size_t> most_{kDefaultMost};
  std::atomic<uint64_t> held_bytes_{0};
  mutable Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_KEPT_VIEWS_H_
