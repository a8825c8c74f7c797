// Which of several writes on their way must wait for which.
#ifndef BEBR_INDEX_CLUSTER_WRITE_ORDER_H_
#define BEBR_INDEX_CLUSTER_WRITE_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "index/base/mutex.h"

namespace bebr {

// Writes of one document take effect in the order in which they came, although each is several calls to other
// processes: a write begins when those before it that have a document in common have ended. Thread safety: all methods
// may be called from any thread.
class WriteOrder {
 public:
  class Write;
  using Ticket = std::shared_ptr<Write>;

  // Runs `start` once it is this write's turn, here or in Leave of another write. `keys` stand for its documents;
  // equal keys of different documents make it wait in vain, no more.
  Ticket Enter(std::vector<uint64_t> keys, absl::AnyInvocable<void(Ticket)> start);
  // The write has ended.
  void Leave(const Ticket& ticket);

 private:
  Mutex mutex_;
  absl::flat_hash_map<uint64_t, Ticket> last_ ABSL_GUARDED_BY(mutex_);  // by key, of those that have not ended
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_WRITE_ORDER_H_
