#include "server/http/http_answer.h"

#include "absl/strings/str_cat.h"
#include "server/call/status.h"
#include "server/http/connect.h"

namespace bebr {

HttpAnswer ErrorAnswer(const grpc::Status& status) {
  ConnectError error = MakeConnectError(status);
  HttpAnswer answer{error.http_status, std::move(error.body), "application/json", {}};
  if (error.retry_after_s > 0) answer.headers.emplace_back("Retry-After", absl::StrCat(error.retry_after_s));
  return answer;
}

HttpAnswer Refusal(absl::StatusCode code, const std::string& message, unsigned http_status) {
  HttpAnswer answer = ErrorAnswer(ToGrpcStatus(absl::Status(code, message)));
  if (http_status != 0) answer.status = http_status;
  return answer;
}

}  // namespace bebr
