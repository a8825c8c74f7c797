// What came of the changes that a node applied last.
#ifndef BEBR_INDEX_FOLLOW_OUTCOMES_H_
#define BEBR_INDEX_FOLLOW_OUTCOMES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/log/log.h"
#include "index/types/replication.h"

namespace bebr {

// Where the log has a change: a position, and a number in the record there.
using ChangeKey = std::pair<uint64_t, uint32_t>;

// The Outcomes of the last changes, as many as there is room for, or of the last one: a gateway asks soon. Thread
// safety: all methods may be called from any thread.
class Outcomes {
 public:
  void Add(const ChangeKey& key, ChangeOutcome outcome);
  // An append whose changes are about to be applied.
  void Note(const LogPlace& place);
  // Of a change of this very append. NOT_FOUND: that is not known any more. DATA_LOSS: another append was applied
  // there.
  absl::StatusOr<ChangeOutcome> Find(const LogPlace& place, uint32_t number) const;

 private:
  static constexpr size_t kMost = 65536;                  // changes, and appends
  static constexpr size_t kMostBytes = size_t{16} << 20;  // of the ids that they name, about

  mutable Mutex mutex_;
  std::map<ChangeKey, ChangeOutcome> outcomes_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, AppendId> appends_ ABSL_GUARDED_BY(mutex_);  // by position
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_FOLLOW_OUTCOMES_H_
