// Re-encoding a collection for a new version while it is in use.
#ifndef BEBR_INDEX_UPGRADE_BACKFILL_H_
#define BEBR_INDEX_UPGRADE_BACKFILL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/collection/collection.h"
#include "index/types/collection.h"

namespace bebr {

// A Backfill re-encodes, on a thread of its own, every document of a collection that has stored floats of a version and
// in the version's space no code, or one that another version wrote. It passes over the documents until a pass finds
// none.
//
// Nothing is kept of how far it came, because the documents say it: a Backfill that starts again after an interruption
// finds what is left by looking at the codes in memory, without reading the disk for what is done. Each document is
// written only if nobody has written it since it was read, so a client's write is never lost.
//
// Errors. Damage ends it. A fault of the disk is waited for, and told in info().error meanwhile. Thread safety: all
// methods may be called from any thread. The destructor stops it and waits.
class Backfill {
 public:
  // `ended` is called with the backfill on its thread, unless it was stopped, until it returns true; it must not
  // destroy it.
  Backfill(std::shared_ptr<Collection> collection, Version version, uint64_t documents_per_s,
           std::function<bool(const Backfill*)> ended);
  ~Backfill();

  void SetLimit(uint64_t documents_per_s);
  BackfillInfo info() const;

 private:
  using Rows = std::vector<uint32_t>;

  void Run();
  // Documents that had something to encode; 0 means that nothing is left.
  absl::StatusOr<uint64_t> Pass();
  absl::StatusOr<uint64_t> PassSegment(uint32_t shard, const std::shared_ptr<const Segment>& segment);
  // The rows of a segment, from `*next` on, that need another code; as many as make a batch.
  Rows TakeRows(const SegmentView& view, uint32_t* next) const;
  absl::StatusOr<uint64_t> Encode(uint32_t shard, const std::shared_ptr<const CollectionView>& view,
                                  const SegmentView& segment, const Rows& rows);
  void CountAndWait(uint64_t written);
  bool stopped() const;
  // Waits for what may have passed by then. Whether it was stopped.
  bool WaitForDisk();

  const std::shared_ptr<Collection> collection_;
  const Version version_;
  const FloatStorage storage_;
  const std::function<bool(const Backfill*)> ended_;

  mutable Mutex mutex_;
  CondVar wake_;  // stopping_, or a new limit
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  BackfillInfo info_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::pair<SteadyTime, uint64_t>> recent_ ABSL_GUARDED_BY(mutex_);  // batches of the last seconds
  SteadyTime next_batch_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_UPGRADE_BACKFILL_H_
