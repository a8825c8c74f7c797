// A rate that is held on average.
#ifndef BEBR_INDEX_BASE_TOKEN_BUCKET_H_
#define BEBR_INDEX_BASE_TOKEN_BUCKET_H_

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"

namespace bebr {

// A TokenBucket lets `per_second` units through each second on average, and a second's worth (one unit at least) at
// once. An amount larger than the bucket is taken when the bucket is full and paid for by those that follow, so nothing
// is impossible and the average holds.
//
// Thread safety: Take may be called from any thread.
class TokenBucket {
 public:
  explicit TokenBucket(double per_second);

  // Zero if `amount` was taken; otherwise nothing was, and it may be tried again after the time returned.
  absl::Duration Take(double amount, SteadyTime now);

 private:
  const double per_second_;
  const double capacity_;
  Mutex mutex_;
  double tokens_ ABSL_GUARDED_BY(mutex_);
  SteadyTime filled_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
};

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_TOKEN_BUCKET_H_
