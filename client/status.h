// Errors of calls, as absl::Status.
#ifndef BEBR_CLIENT_STATUS_H_
#define BEBR_CLIENT_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace bebr {

// The same code and message; the details, as far as they can be read, become payloads by their type URLs.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace bebr

#endif  // BEBR_CLIENT_STATUS_H_
