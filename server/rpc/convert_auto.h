// Between messages and values: collections whose binarizers the server makes, and metrics.
#ifndef BEBR_SERVER_RPC_CONVERT_AUTO_H_
#define BEBR_SERVER_RPC_CONVERT_AUTO_H_

#include "absl/status/statusor.h"
#include "bebr/v1/collections.pb.h"
#include "index/engine.h"

namespace bebr {

// INVALID_ARGUMENT for a metric that there is not; the engine checks the rest.
absl::StatusOr<AutoBinarizerConfig> ToAutoBinarizer(const v1::AutoBinarizer& config);
void ToProto(const AutoInfo& info, v1::AutoStatus* out);
v1::Metric ToProto(Metric metric);

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_CONVERT_AUTO_H_
