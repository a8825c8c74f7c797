// Whether the server takes calls, and what it takes them without.
#ifndef BEBR_SERVER_READINESS_H_
#define BEBR_SERVER_READINESS_H_

#include <atomic>

#include "absl/base/thread_annotations.h"
#include "index/base/mutex.h"
#include "index/engine.h"
#include "index/follow/follower.h"
#include "index/gateway_engine.h"
#include "server/net/http_server.h"

namespace bebr {

// What /readyz answers. A server that serves all but some collections is ready: a probe that took it out of service, or
// restarted it, would take the others away. The text names what is wrong with each. One whose node's name another
// server has is not: it never serves.
//
// Ownership: the engine is borrowed. Thread safety: all methods may be called from any thread; Answer waits for no disk
// and no call.
class Readiness {
 public:
  void SetReady(bool ready) { ready_ = ready; }
  // The engine whose collections are looked at, and what keeps it up with a log, if something does, or the same engine
  // of a gateway; null (at first, and before it closes): none.
  void SetEngine(Engine* engine, const Follower* follower = nullptr, GatewayEngine* gateway = nullptr);
  ReadyAnswer Answer() const;

 private:
  ReadyAnswer NotReady() const;
  static constexpr size_t kMostLines = 20;
  std::atomic<bool> ready_{false};
  mutable Mutex mutex_;
  Engine* engine_ ABSL_GUARDED_BY(mutex_) = nullptr;
  const Follower* follower_ ABSL_GUARDED_BY(mutex_) = nullptr;
  GatewayEngine* gateway_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace bebr

#endif  // BEBR_SERVER_READINESS_H_
