// The one place where the engine's errors become gRPC's.
#ifndef BEBR_SERVER_CALL_STATUS_H_
#define BEBR_SERVER_CALL_STATUS_H_

#include <grpcpp/support/status.h>

#include <string_view>

#include "absl/status/status.h"

namespace bebr {

// The same canonical code and message, with google.rpc details: for INVALID_ARGUMENT a BadRequest that names the field,
// for a RESOURCE_EXHAUSTED that passes by waiting (index/base/retry.h) a RetryInfo.
//
// The convention this rests on: the message of an INVALID_ARGUMENT begins with the field it is about, as in
// "documents[3].id has 600 bytes; the limit is 512".
grpc::Status ToGrpcStatus(const absl::Status& status);

// As much of a message as is sent, a kilobyte of whole characters: what clients send may be repeated in it. Borrowed.
std::string_view ShortMessage(std::string_view message);
// The same of any text, of at most so many bytes.
std::string_view ShortText(std::string_view text, size_t most);

// The field path at the start of an error message, as in "filter, position 3: ..."; empty if it begins with no field of
// the API.
std::string_view LeadingField(std::string_view message);

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_STATUS_H_
