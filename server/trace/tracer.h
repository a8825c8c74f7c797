// Calls as spans of traces, sent to a collector.
#ifndef BEBR_SERVER_TRACE_TRACER_H_
#define BEBR_SERVER_TRACE_TRACER_H_

#include <grpcpp/channel.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "index/base/mutex.h"
#include "otlp/traces.pb.h"
#include "server/config/config.h"
#include "server/metrics/metrics.h"

namespace bebr {

// A part of a call's time: waiting for a scan, scanning.
struct CallStage {
  const char* name = "";
  absl::Duration after;  // the call's start
  absl::Duration duration;
};

// A call that has ended, as a trace shows it. Views are borrowed.
struct EndedCall {
  std::string_view traceparent;  // W3C Trace Context: 00-<trace>-<parent>-<flags>
  bool from_client = false;      // the client sent it, so the call is a part of the client's trace
  std::string_view path;         // "/bebr.v1.SearchService/Search"
  int code = 0;                  // gRPC's
  bool server_fault = false;
  std::string_view error;
  absl::Duration duration;
  std::vector<std::pair<std::string_view, std::string_view>> texts;  // attributes; empty ones are left out
  std::vector<std::pair<std::string_view, int64_t>> numbers;
  absl::Span<const CallStage> stages;  // each a span below the call's
};

// A Tracer sends spans to a collector that speaks OTLP over gRPC: in plaintext, to a process of this machine or pod,
// which sends them on, or over TLS.
//
// Which calls: those that clients mark as sampled, otlp_sample_percent of those whose clients say nothing, and all that
// fail through the server's fault. It holds up no call: spans wait in a queue, and what the queue has no room for, or
// the collector does not take within some seconds, is dropped and counted (bebr_spans_total).
//
// Thread safety: Add may be called from any thread. It has a thread of its own, and sends what is left, for a moment,
// when it goes.
class Tracer {
 public:
  // `sample_percent`, which may change, and `metrics` must outlive it. INVALID_ARGUMENT if otlp_ca_file cannot be read.
  static absl::StatusOr<std::unique_ptr<Tracer>> Create(const ServerConfig& config,
                                                        const std::atomic<uint64_t>& sample_percent, Metrics* metrics);
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  void Add(const EndedCall& call);

 private:
  Tracer(std::shared_ptr<grpc::Channel> channel, const std::atomic<uint64_t>& sample_percent, Metrics* metrics);

  static constexpr size_t kMostWaiting = 4096;
  static constexpr size_t kBatch = 512;

  bool Wants(const EndedCall& call) const;
  void Run();
  // Whether the collector took them. `last`: the server waits for it.
  bool Send(std::vector<otlp::Span> spans, bool last);

  const std::atomic<uint64_t>& sample_percent_;
  const std::string instance_;
  Metrics* const metrics_;
  const std::shared_ptr<grpc::Channel> channel_;
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<otlp::Span> waiting_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_TRACE_TRACER_H_
