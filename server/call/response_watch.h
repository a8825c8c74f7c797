// Answers that clients do not take.
#ifndef BEBR_SERVER_CALL_RESPONSE_WATCH_H_
#define BEBR_SERVER_CALL_RESPONSE_WATCH_H_

#include <grpc/grpc.h>
#include <grpcpp/server_context.h>

#include <atomic>
#include <cstdint>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "server/metrics/metrics.h"

namespace bebr {

// A ResponseWatch knows the calls that have ended but whose answer the client has not taken yet: such answers lie in
// memory for as long as the client likes. Calls that wait longer than `timeout_s` are cancelled, and while more than
// `max_bytes` wait, calls with large answers should be refused (Admit).
//
// Thread safety: all methods may be called from any thread. Has a thread of its own.
class ResponseWatch {
 public:
  // Both limits may change; they must outlive the watch.
  ResponseWatch(const std::atomic<uint64_t>& timeout_s, const std::atomic<uint64_t>& max_bytes, Metrics* metrics);
  ~ResponseWatch();

  // RESOURCE_EXHAUSTED while too much waits.
  absl::Status Admit() const;
  // The call's status and `bytes` of its answer have been handed to gRPC; `context` is known until End.
  void Begin(grpc::ServerContextBase* context, uint64_t bytes);
  // The call is over; no error if it never began.
  void End(grpc::ServerContextBase* context);

 private:
  struct Waiting {
    grpc_call* call;  // with a reference of its own
    SteadyTime since;
    uint64_t bytes;
  };
  void Run();
  void CancelLate();

  const std::atomic<uint64_t>& timeout_s_;
  const std::atomic<uint64_t>& max_bytes_;
  Metrics* const metrics_;
  std::atomic<uint64_t> bytes_{0};
  Mutex mutex_;
  CondVar stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<grpc::ServerContextBase*, Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_RESPONSE_WATCH_H_
