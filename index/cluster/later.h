// Work for later.
#ifndef BEBR_INDEX_CLUSTER_LATER_H_
#define BEBR_INDEX_CLUSTER_LATER_H_

#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"

namespace bebr {

// Runs work when a while is over, on a thread of its own: so it must not block. The end runs at once what still waits.
// Thread safety: all methods may be called from any thread.
class Later {
 public:
  Later();
  ~Later();
  void After(absl::Duration delay, absl::AnyInvocable<void()> work);

 private:
  void Run();

  Mutex mutex_;
  CondVar changed_;
  std::multimap<SteadyTime, absl::AnyInvocable<void()>> work_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_LATER_H_
