#ifndef BEBR_SERVER_RPC_CONTEXT_H_
#define BEBR_SERVER_RPC_CONTEXT_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "index/base/thread_pool.h"
#include "index/engine.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/metrics.h"
#include "server/rpc/convert.h"
#include "server/rpc/response_watch.h"
#include "server/rpc/status.h"

namespace bebr {

// Runs what blocks (disk reads, collections) away from gRPC's threads. Thread safety: all methods may be called from
// any thread.
class BlockingPool {
 public:
  explicit BlockingPool(size_t threads) : pool_(threads) {}
  // RESOURCE_EXHAUSTED if too many tasks wait.
  absl::Status TrySubmit(absl::AnyInvocable<void()> task);

 private:
  static constexpr size_t kMaxWaiting = 1024;
  std::atomic<size_t> waiting_{0};
  ThreadPool pool_;
};

// The streams in progress, which end by themselves when the server drains: a client may keep one open for ever.
class StreamRegistry {
 public:
  // Returns false, adding nothing, if the server is draining. `drain` may be called once, from another thread.
  bool Add(void* stream, std::function<void()> drain);
  // After this returned, `drain` does not run any more.
  void Remove(void* stream);
  void Drain();

 private:
  // Recursive, because ending a stream may make gRPC call its OnDone, and so Remove, at once on the same thread.
  std::recursive_mutex mutex_;
  bool draining_ = false;                                      // guarded by mutex_
  absl::flat_hash_map<void*, std::function<void()>> streams_;  // guarded by mutex_
};

// What every handler works with. Ownership: the Server's; outlives all calls.
struct RpcContext {
  const ServerConfig& config;
  Engine* engine;
  Metrics* metrics;
  const Authenticator* authenticator;
  BlockingPool* blocking;
  StreamRegistry* streams;
  ResponseWatch* responses;
  std::atomic<uint64_t> upload_bytes{0};  // held by model uploads in progress
  const absl::Time started = absl::Now();
};

// One call with one request and one response. It deletes itself when gRPC is done with it, so it must be finished
// exactly once.
class UnaryCall : public grpc::ServerUnaryReactor {
 public:
  VectorArena& arena() { return arena_; }
  const std::shared_ptr<std::atomic<bool>>& cancelled() const { return cancelled_; }
  void End(const absl::Status& status) { Finish(ToGrpcStatus(status)); }

 private:
  void OnCancel() override { cancelled_->store(true, std::memory_order_relaxed); }
  void OnDone() override { delete this; }

  VectorArena arena_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

// A call whose `body`, which returns the call's status, runs on the blocking pool; if `checked` is an error, that ends
// it instead.
grpc::ServerUnaryReactor* RunBlocking(RpcContext& rpc, const absl::Status& checked,
                                      absl::AnyInvocable<absl::Status()> body);

// Fills in what the collection is now.
absl::Status Describe(const RpcContext& rpc, const std::string& collection, v1::Collection* out);

// RESOURCE_EXHAUSTED if `message` is larger than the server may send. `advice` says what to do.
absl::Status CheckSize(const RpcContext& rpc, const google::protobuf::Message& message, std::string_view advice);

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_CONTEXT_H_
