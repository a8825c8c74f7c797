// Messages as JSON and back.
#ifndef BEBR_SERVER_HTTP_JSON_H_
#define BEBR_SERVER_HTTP_JSON_H_

#include <google/protobuf/descriptor.h>

#include <string>

#include "absl/status/statusor.h"

namespace bebr {

// Both go by the descriptors alone, and make no message: what a message would take is judged later, by whoever takes
// the bytes apart. JSON is that of Protocol Buffers (names in lowerCamelCase or as in the .proto file, 64-bit numbers
// as text, bytes in base64). Thread safety: both may be called from any thread. Cost: some 30 MB of JSON a second.

// The wire bytes of the message of `type` that `json` says; empty text is the empty message. INVALID_ARGUMENT names the
// field that there is not, or whose value does not fit; also objects and arrays more than kMaxJsonDepth deep in each
// other, which no message has.
inline constexpr size_t kMaxJsonDepth = 200;
absl::StatusOr<std::string> JsonToWire(const google::protobuf::Descriptor& type, const std::string& json);

// The JSON of `wire`, a message of `type`. INTERNAL if it cannot be written; bytes that are cut off go unnoticed.
absl::StatusOr<std::string> WireToJson(const google::protobuf::Descriptor& type, const std::string& wire);

}  // namespace bebr

#endif  // BEBR_SERVER_HTTP_JSON_H_
