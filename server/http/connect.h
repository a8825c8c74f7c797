// The Connect protocol's words for what gRPC says: its unary calls over HTTP with JSON or binary bodies
// (https://connectrpc.com/docs/protocol).
#ifndef BEBR_SERVER_HTTP_CONNECT_H_
#define BEBR_SERVER_HTTP_CONNECT_H_

#include <grpcpp/support/status.h>

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace bebr {

// How a body is written.
enum class BodyFormat { kJson, kBinary };

// The format of a Content-Type; nothing for others.
std::optional<BodyFormat> ParseContentType(std::string_view content_type);
std::string_view ContentTypeOf(BodyFormat format);

// The time of a Connect-Timeout-Ms, at most ten digits; nothing if it is not that.
std::optional<absl::Duration> ParseTimeout(std::string_view milliseconds);

// The HTTP status and the body, which is JSON whatever the request was, for an error. `status` is not OK; its details
// are those that ToGrpcStatus packs.
struct ConnectError {
  unsigned http_status = 500;
  std::string body;
  int64_t retry_after_s = 0;  // 0: waiting does not help
};
ConnectError MakeConnectError(const grpc::Status& status);

}  // namespace bebr

#endif  // BEBR_SERVER_HTTP_CONNECT_H_
