// What a message will take once it is parsed, read off its bytes.
#ifndef BEBR_SERVER_CALL_WIRE_SCHEMA_H_
#define BEBR_SERVER_CALL_WIRE_SCHEMA_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/zero_copy_stream.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

namespace bebr {

// The most entries that a repeated field may have, by full name: {"bebr.v1.GetRequest.ids", 10000}.
using FieldLimits = absl::flat_hash_map<std::string, uint32_t>;

// A parsed message takes at most kMaxExpansion times its bytes on the wire and kFreeExpansionBytes.
inline constexpr uint64_t kMaxExpansion = 16;
inline constexpr uint64_t kFreeExpansionBytes = uint64_t{4} << 20;

// A WireSchema reads the bytes of one type of message without making a message of them, and says what one would take in
// memory: two bytes on the wire can stand for an object of a hundred.
//
// Thread safety: immutable. Cost of Measure: some 10 ns a field; vectors are skipped.
class WireSchema {
 public:
  // `type` must outlive it, as generated types do.
  WireSchema(const google::protobuf::Descriptor* type, const FieldLimits& limits);
  ~WireSchema();

  // An upper bound of the bytes that the message takes once it is parsed. INVALID_ARGUMENT names the field that has
  // more entries than its limit, or text that is not UTF-8, or where the bytes are garbled. RESOURCE_EXHAUSTED if the
  // message would take more than kMaxExpansion allows. `wire_bytes` is the length of `message`.
  absl::StatusOr<uint64_t> Measure(google::protobuf::io::ZeroCopyInputStream& message, uint64_t wire_bytes) const;

 private:
  struct Type;
  class Walk;
  const Type* Add(const google::protobuf::Descriptor* type, const FieldLimits& limits);

  absl::flat_hash_map<const google::protobuf::Descriptor*, std::unique_ptr<Type>> types_;
  const Type* root_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_WIRE_SCHEMA_H_
