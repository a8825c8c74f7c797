#include <cmath>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "server/access/auth.h"
#include "server/build_info.h"
#include "server/call/call_context.h"
#include "server/rpc/convert.h"
#include "server/rpc/services.h"
#include "server/rpc/unary_call.h"

namespace bebr {
namespace {

constexpr double kDefaultIdBytes = 16;

absl::Status CheckIdBytes(double id_bytes) {
  if (id_bytes == 0 || (id_bytes >= 1 && id_bytes <= static_cast<double>(kMaxIdBytes))) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("id_bytes is %g; it is 0 (for %g) or 1 to %d", id_bytes, kDefaultIdBytes, kMaxIdBytes));
}

}  // namespace

grpc::ServerUnaryReactor* AdminServiceImpl::GetStats(grpc::CallbackServerContext* context, const v1::GetStatsRequest*,
                                                     v1::GetStatsResponse* response) {
  const absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "GetStats", Role::kRead, "");
  return RunBlocking(rpc_, checked, [this, response] {
    ToProto(rpc_.engine->Stats(), response);
    response->set_build_version(kBuildVersion);
    response->set_uptime_seconds(static_cast<uint64_t>(absl::ToInt64Seconds(absl::Now() - rpc_.started)));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminServiceImpl::EstimateMemory(grpc::CallbackServerContext* context,
                                                           const v1::EstimateMemoryRequest* request,
                                                           v1::EstimateMemoryResponse* response) {
  const std::string collection = rpc_.engine->Resolve(request->collection());
  absl::Status checked = rpc_.authenticator->Check(CallerOf(*context), "EstimateMemory", Role::kRead, collection);
  if (checked.ok()) checked = CheckIdBytes(request->id_bytes());
  return RunBlocking(rpc_, checked, [this, collection, request, response]() -> absl::Status {
    const double id_bytes = request->id_bytes() == 0 ? kDefaultIdBytes : request->id_bytes();
    BEBR_ASSIGN_OR_RETURN(const MemoryUse memory,
                          rpc_.engine->EstimateMemory(collection, request->documents(), id_bytes));
    ToProto(memory, response->mutable_memory());
    return absl::OkStatus();
  });
}

}  // namespace bebr
