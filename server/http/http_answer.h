// What goes back over HTTP.
#ifndef BEBR_SERVER_HTTP_HTTP_ANSWER_H_
#define BEBR_SERVER_HTTP_HTTP_ANSWER_H_

#include <grpcpp/support/status.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace bebr {

// Headers are names and values beside Content-Type.
struct HttpAnswer {
  unsigned status = 200;
  std::string body;
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;
};

// The answer that says that a call failed, in the Connect protocol's words.
HttpAnswer ErrorAnswer(const grpc::Status& status);
// The same; with an `http_status` that is not 0 instead of the code's own.
HttpAnswer Refusal(absl::StatusCode code, const std::string& message, unsigned http_status = 0);

}  // namespace bebr

#endif  // BEBR_SERVER_HTTP_HTTP_ANSWER_H_
