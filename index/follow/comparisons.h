// What a node held where the log asked for a comparison of replicas.
#ifndef BEBR_INDEX_FOLLOW_COMPARISONS_H_
#define BEBR_INDEX_FOLLOW_COMPARISONS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/log_engine.h"
#include "index/types/replication.h"

namespace bebr {

// Comparisons keep the last few collections as they were at their positions, until they were read or for a while: what
// is replaced meanwhile stays on disk. Thread safety: all methods may be called from any thread.
class Comparisons {
 public:
  void Add(uint64_t position, std::string collection, std::unique_ptr<SeenCollection> seen);
  // Lets go of those of a collection that is about to change as a whole; what reads one ends.
  void Forget(std::string_view collection);
  // Lets go of those that nobody has asked for in time.
  void Expire();
  // Reads all of the collection as it was at the position, `bytes_per_s` at most (0: no limit). NOT_FOUND if it is kept
  // no more; CANCELLED once `cancelled`, which may be null, is true.
  absl::StatusOr<CollectionDigest> Digest(uint64_t position, std::string_view collection, uint64_t bytes_per_s,
                                          const std::atomic<bool>* cancelled);

 private:
  struct Kept {
    std::string collection;
    std::shared_ptr<const SeenCollection> seen;
    std::shared_ptr<std::atomic<bool>> gone = std::make_shared<std::atomic<bool>>(false);
    SteadyTime until;
  };
  static constexpr size_t kMost = 4;
  static constexpr absl::Duration kTime = absl::Minutes(10);

  Mutex mutex_;
  std::map<uint64_t, Kept> kept_ ABSL_GUARDED_BY(mutex_);  // by position
};

}  // namespace bebr

#endif  // BEBR_INDEX_FOLLOW_COMPARISONS_H_
