// The gateway's connections to nodes.
#ifndef BEBR_SERVER_CLUSTER_CHANNEL_H_
#define BEBR_SERVER_CLUSTER_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/types/cluster.h"
#include "server/config/config.h"

namespace bebr {

// What all nodes are called with.
struct NodeCredentials {
  std::shared_ptr<grpc::ChannelCredentials> channel;
  std::string key;         // empty: none is shown
  absl::Duration timeout;  // of calls whose caller sets no deadline
};
// Of cluster_ca_file, the server's own certificate, and cluster_key_file. INVALID_ARGUMENT names the file.
absl::StatusOr<NodeCredentials> ReadNodeCredentials(const ServerConfig& config);

std::shared_ptr<grpc::Channel> ConnectTo(const NodePlace& place, const NodeCredentials& credentials);

// Who waits for a call: each one's flag is true once it has gone. None, or null: somebody does, whatever happens.
using Callers = absl::InlinedVector<std::shared_ptr<std::atomic<bool>>, 1>;

// Ends calls whose callers have all gone, and does what is to be done every few milliseconds while calls are on their
// way. Thread safety: all methods may be called from any thread.
class Canceller {
 public:
  Canceller();
  ~Canceller();

  using Watched = std::pair<grpc::ClientContext*, Callers>;
  // Cancels the call once all its callers have gone; until Forget, before which the context must live.
  std::list<Watched>::iterator Watch(grpc::ClientContext* context, Callers callers);
  void Forget(std::list<Watched>::iterator call);

  using Ticks = std::list<std::function<void()>>;
  // Calls `tick` now and then, until RemoveTick, which waits for it.
  Ticks::iterator AddTick(std::function<void()> tick);
  void RemoveTick(Ticks::iterator tick);

 private:
  void Run();

  Mutex mutex_;
  CondVar changed_;
  std::list<Watched> calls_ ABSL_GUARDED_BY(mutex_);
  bool idle_ ABSL_GUARDED_BY(mutex_) = false;  // waits until there is a call
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  Mutex ticks_mutex_;  // held while they run
  Ticks ticks_ ABSL_GUARDED_BY(ticks_mutex_);
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_CHANNEL_H_
