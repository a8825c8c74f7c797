// Streams in progress, and how they end when the server drains.
#ifndef BEBR_SERVER_CALL_STREAM_REGISTRY_H_
#define BEBR_SERVER_CALL_STREAM_REGISTRY_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "index/base/mutex.h"

namespace bebr {

// A stream in progress, which ends by itself when the server drains: a client may keep one open for ever.
class DrainableStream {
 public:
  virtual ~DrainableStream() = default;
  // Ends what is in progress soon; no new work is begun. May come at any time, also after the stream has ended.
  virtual void Drain() = 0;
};

// The streams in progress.
//
// Ownership: none; a stream that is gone is forgotten. Thread safety: all methods may be called from any thread.
class StreamRegistry {
 public:
  // Returns false, adding nothing, if the server is draining.
  bool Add(const std::shared_ptr<DrainableStream>& stream);
  // Drains the streams that are there, and lets no more in.
  void Drain();

 private:
  Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::weak_ptr<DrainableStream>> streams_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 64;  // streams that are gone are forgotten at this size
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_STREAM_REGISTRY_H_
