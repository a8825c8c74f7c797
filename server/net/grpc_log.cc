#include "server/net/grpc_log.h"

#include <grpc/support/log.h>

#include <string_view>

#include "index/base/logging.h"

namespace bebr {
namespace {

void Log(gpr_log_func_args* line) {
  const std::string_view file(line->file);
  const std::string_view name = file.substr(file.rfind('/') + 1);
  if (line->severity == GPR_LOG_SEVERITY_ERROR) {
    LogWarning("gRPC: {} ({}:{})", line->message, name, line->line);
  } else {
    LogDebug("gRPC: {} ({}:{})", line->message, name, line->line);
  }
}

}  // namespace

void LogGrpcLines() { gpr_set_log_function(&Log); }

}  // namespace bebr
