#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bebr/v1/admin.pb.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "server/build_info.h"
#include "server/rpc/convert.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"

namespace bebr {
namespace {

absl::Status GetStats(RpcContext& rpc, const Call&, const v1::GetStatsRequest&, v1::GetStatsResponse& response) {
  ToProto(rpc.engine->Stats(), &response);
  response.set_build_version(kBuildVersion);
  response.set_uptime_seconds(static_cast<uint64_t>(absl::ToInt64Seconds(absl::Now() - rpc.started)));
  return absl::OkStatus();
}

absl::Status EstimateMemory(RpcContext& rpc, const Call& call, const v1::EstimateMemoryRequest& request,
                            v1::EstimateMemoryResponse& response) {
  const AttributeLoad attributes{.per_document = request.attributes(),
                                 .distinct_texts = request.distinct_texts(),
                                 .text_bytes = request.text_bytes()};
  BEBR_ASSIGN_OR_RETURN(const MemoryUse memory, rpc.engine->EstimateMemory(call.collection(), request.documents(),
                                                                           request.id_bytes(), attributes));
  ToProto(memory, response.mutable_memory());
  return absl::OkStatus();
}

}  // namespace

std::vector<Method> AdminMethods() {
  return {Blocking("/bebr.v1.AdminService/GetStats", Role::kRead, OfNone, GetStats),
          Blocking("/bebr.v1.AdminService/EstimateMemory", Role::kRead, OfCollection, EstimateMemory)};
}

}  // namespace bebr
