// What may change while a server runs.
#ifndef BEBR_SERVER_CONFIG_LIVE_LIMITS_H_
#define BEBR_SERVER_CONFIG_LIVE_LIMITS_H_

#include <atomic>
#include <cstdint>

#include "server/config/config.h"

namespace bebr {

// The limits that a running server takes over when its configuration is read again.
//
// Thread safety: may be set and read on any thread; who reads two of them may get one of before and one of after.
struct LiveLimits {
  explicit LiveLimits(const ServerConfig& config) { Set(config); }
  void Set(const ServerConfig& config) {
    slow_query_ms = config.slow_query_ms;
    max_model_bytes = config.max_model_bytes;
    max_parsed_bytes = config.max_parsed_bytes;
    max_results_per_call = config.max_results_per_call;
    max_pending_response_bytes = config.max_pending_response_bytes;
    max_answer_bytes = config.max_answer_bytes;
    upsert_window_messages = config.upsert_window_messages;
    response_timeout_s = config.response_timeout_s;
    drain_timeout_s = config.drain_timeout_s;
    otlp_sample_percent = config.otlp_sample_percent;
  }

  std::atomic<uint64_t> slow_query_ms;
  std::atomic<uint64_t> max_model_bytes;
  std::atomic<uint64_t> max_parsed_bytes;
  std::atomic<uint64_t> max_results_per_call;
  std::atomic<uint64_t> max_pending_response_bytes;
  std::atomic<uint64_t> max_answer_bytes;
  std::atomic<uint64_t> upsert_window_messages;
  std::atomic<uint64_t> response_timeout_s;
  std::atomic<uint64_t> drain_timeout_s;
  std::atomic<uint64_t> otlp_sample_percent;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CONFIG_LIVE_LIMITS_H_
