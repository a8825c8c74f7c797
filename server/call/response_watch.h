// Answers that clients do not take.
#ifndef BEBR_SERVER_CALL_RESPONSE_WATCH_H_
#define BEBR_SERVER_CALL_RESPONSE_WATCH_H_

#include <grpc/grpc.h>
#include <grpcpp/server_context.h>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "server/call/memory_budget.h"
#include "server/metrics/metrics.h"

namespace bebr {

// A ResponseWatch knows the messages that were handed to gRPC and that their clients have not taken yet, of streams and
// at the end of calls: they lie in memory for as long as the client likes. Calls whose message waits longer than
// `timeout_s` are cancelled, and while a holder (MemoryBudget) has more waiting than its share of `max_bytes`, its
// calls should be refused (Admit).
//
// What comes of calls that were let in before is there whatever the limit, so a holder may come to have more than its
// share. One that has nearly nothing is let in nevertheless, until twice `max_bytes` wait in all.
//
// Thread safety: all methods may be called from any thread. Has a thread of its own.
class ResponseWatch {
 public:
  // Both limits may change; they must outlive the watch.
  ResponseWatch(const std::atomic<uint64_t>& timeout_s, const std::atomic<uint64_t>& max_bytes, Metrics* metrics);
  ~ResponseWatch();

  // RESOURCE_EXHAUSTED while too much waits.
  absl::Status Admit(std::string_view holder) const;
  // A message of `bytes`, or the call's status with it, is handed to gRPC; `context` is known until End. Nothing if it
  // is known already.
  void Begin(grpc::ServerContextBase* context, std::string_view holder, uint64_t bytes);
  // The message was taken, or the call is over; no error if it never began.
  void End(grpc::ServerContextBase* context);
  // Counts what waits to be handed to gRPC, for as long as it is held.
  MemoryBudget::Hold Count(std::string_view holder, uint64_t bytes) { return pending_.Count(holder, bytes); }

 private:
  struct Waiting {
    grpc_call* call;  // with a reference of its own
    SteadyTime since;
    MemoryBudget::Hold bytes;
  };
  void Run();
  void CancelLate();
  void Tell() { metrics_->pending_response_bytes().Set(static_cast<double>(pending_.taken())); }

  const std::atomic<uint64_t>& timeout_s_;
  Metrics* const metrics_;
  MemoryBudget pending_;
  Mutex mutex_;
  CondVar stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<grpc::ServerContextBase*, Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_RESPONSE_WATCH_H_
