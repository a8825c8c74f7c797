// The gateway's connections to nodes.
#ifndef BEBR_SERVER_CLUSTER_CHANNEL_H_
#define BEBR_SERVER_CLUSTER_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
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

// Ends calls whose caller has gone. Thread safety: all methods may be called from any thread.
class Canceller {
 public:
  Canceller();
  ~Canceller();

  using Watched = std::pair<grpc::ClientContext*, std::shared_ptr<std::atomic<bool>>>;
  // Cancels the call once `cancelled`, which may be null, is true; until Forget, before which the context must live.
  std::list<Watched>::iterator Watch(grpc::ClientContext* context, std::shared_ptr<std::atomic<bool>> cancelled);
  void Forget(std::list<Watched>::iterator call);

 private:
  void Run();

  Mutex mutex_;
  CondVar changed_;
  std::list<Watched> calls_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_CHANNEL_H_
