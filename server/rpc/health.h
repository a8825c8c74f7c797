// The health service of gRPC.
#ifndef BEBR_SERVER_RPC_HEALTH_H_
#define BEBR_SERVER_RPC_HEALTH_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "index/base/mutex.h"

namespace bebr {

// Whether the server takes calls, for the standard health service, and who wants to hear of changes.
//
// Thread safety: all methods may be called from any thread.
class HealthState {
 public:
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void Changed() = 0;
    // Others want its place.
    virtual void MakeRoom() = 0;
  };

  bool serving() const;
  void SetServing(bool serving);
  static constexpr size_t kMostWatchers = 1024;

  // `watcher` is told of changes from now on, for as long as it is there. Beyond kMostWatchers the oldest makes room.
  void Watch(const std::shared_ptr<Watcher>& watcher);

 private:
  mutable Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::weak_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_HEALTH_H_
