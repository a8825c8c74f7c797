#include "server/net/grpc_log.h"

#include <grpc/support/log.h>

#include <atomic>
#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/logging.h"
#include "index/base/token_bucket.h"

namespace bebr {
namespace {

constexpr double kErrorsPerSecond = 100;
constexpr size_t kMostBytes = 500;  // of a line's text, in which a caller's own may stand

void WriteError(std::string_view text, std::string_view file, int line) {
  static TokenBucket* const rate = new TokenBucket(kErrorsPerSecond);
  static std::atomic<uint64_t> left_out{0};
  if (rate->Take(1, SteadyNow()) > absl::ZeroDuration()) {
    left_out.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const uint64_t before = left_out.exchange(0, std::memory_order_relaxed);
  if (before > 0) LogWarning("gRPC: {} errors before this one were too many a second for the log", before);
  LogWarning("gRPC: {} ({}:{})", text.substr(0, kMostBytes), file, line);
}

void Log(gpr_log_func_args* line) {
  const std::string_view file(line->file);
  const std::string_view name = file.substr(file.rfind('/') + 1);
  if (line->severity == GPR_LOG_SEVERITY_ERROR) {
    WriteError(line->message, name, line->line);
  } else {
    LogDebug("gRPC: {} ({}:{})", line->message, name, line->line);
  }
}

}  // namespace

void LogGrpcLines() { gpr_set_log_function(&Log); }

}  // namespace bebr
