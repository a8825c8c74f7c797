#include "server/call/wire_schema.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>
#include <google/protobuf/stubs/common.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bebr {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;

// What malloc takes beside the bytes asked for.
constexpr uint64_t kAllocation = 16;
// A repeated field's pointer to an entry: its array doubles when it is full.
constexpr uint64_t kPointer = 2 * sizeof(void*);
constexpr uint64_t kShortString = 15;  // longer ones have a buffer of their own
constexpr uint64_t kUnknownField = 32;
constexpr uint64_t kMapNode = 32;
constexpr uint32_t kMaxDepth = 90;  // of messages in messages; the parser takes 100

uint64_t StringBytes(uint64_t length) {
  return sizeof(std::string) + kAllocation + (length > kShortString ? length + 1 + kAllocation : 0);
}

}  // namespace

struct WireSchema::Type {
  struct Field {
    bool known = false;
    bool repeated = false;
    bool text = false;  // must be UTF-8
    WireFormatLite::WireType wire = WireFormatLite::WIRETYPE_VARINT;
    uint64_t element_bytes = 0;     // of repeated numbers
    uint32_t wire_element = 1;      // bytes of a packed number at least
    const Type* message = nullptr;  // of messages
    uint32_t limit = 0;             // of entries; 0: none
    std::string name;
  };
  uint64_t bytes = 0;         // of a message without any field set
  std::vector<Field> fields;  // by number
  std::string name;
};

// One pass over one message.
class WireSchema::Walk {
 public:
  Walk(google::protobuf::io::ZeroCopyInputStream& message, uint64_t wire_bytes) : in_(&message) {
    in_.PushLimit(static_cast<int>(wire_bytes));
  }

  bool Message(const Type& type);
  uint64_t bytes() const { return bytes_; }
  absl::Status error(const Type& type) const {
    if (problem_.empty()) {
      return absl::InvalidArgumentError(absl::StrFormat("the request is no %s: its bytes are garbled%s%s", type.name,
                                                        path_.empty() ? "" : " in ", path_));
    }
    return absl::InvalidArgumentError(absl::StrCat(path_, " ", problem_));
  }

 private:
  using Counts = absl::InlinedVector<uint32_t, 24>;
  bool ReadLength(uint32_t& length) { return in_.ReadVarint32(&length) && length <= INT32_MAX; }
  bool Value(WireFormatLite::WireType wire, const Type::Field& field, uint32_t& count);
  bool Submessage(const Type& type, uint32_t length);
  bool Text(uint32_t length);
  bool Unknown(WireFormatLite::WireType wire);
  bool Fail(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  google::protobuf::io::CodedInputStream in_;
  uint64_t bytes_ = 0;
  uint32_t depth_ = 0;
  std::string scratch_;
  std::string path_;     // of the field that is wrong, built while returning from it
  std::string problem_;  // empty: the bytes are garbled
};

bool WireSchema::Walk::Message(const Type& type) {
  Counts counts(type.fields.size());
  bytes_ += type.bytes;
  while (const uint32_t tag = in_.ReadTag()) {
    const auto wire = WireFormatLite::GetTagWireType(tag);
    const auto number = static_cast<size_t>(WireFormatLite::GetTagFieldNumber(tag));
    if (number == 0) return false;
    if (number >= type.fields.size() || !type.fields[number].known) {
      if (!Unknown(wire)) return false;
      continue;
    }
    const Type::Field& field = type.fields[number];
    if (Value(wire, field, counts[number])) continue;
    const bool entry = field.repeated && (field.limit == 0 || counts[number] <= field.limit);
    path_ = absl::StrCat(field.name, entry ? absl::StrFormat("[%d]", counts[number] - 1) : "", path_.empty() ? "" : ".",
                         path_);
    return false;
  }
  return in_.ConsumedEntireMessage();
}

bool WireSchema::Walk::Value(WireFormatLite::WireType wire, const Type::Field& field, uint32_t& count) {
  const bool packed = field.repeated && wire == WireFormatLite::WIRETYPE_LENGTH_DELIMITED && wire != field.wire;
  if (wire != field.wire && !packed) return Unknown(wire);
  uint32_t length = 0;
  if (wire == WireFormatLite::WIRETYPE_LENGTH_DELIMITED && !ReadLength(length)) return false;
  const uint32_t entries = packed ? length / field.wire_element : 1;
  count += std::min(entries, UINT32_MAX - count);
  if (field.limit != 0 && count > field.limit)
    return Fail(absl::StrFormat("has more than %d entries, the limit", field.limit));
  if (packed) {
    if (length % field.wire_element != 0) return false;
    bytes_ += field.element_bytes * entries;
    return in_.Skip(static_cast<int>(length));
  }
  if (wire != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
    bytes_ += field.element_bytes;
    return WireFormatLite::SkipField(&in_, WireFormatLite::MakeTag(1, wire));
  }
  bytes_ += field.repeated ? kPointer : 0;
  if (field.message != nullptr) return Submessage(*field.message, length);
  bytes_ += StringBytes(length);
  return field.text ? Text(length) : in_.Skip(static_cast<int>(length));
}

bool WireSchema::Walk::Submessage(const Type& type, uint32_t length) {
  bytes_ += kAllocation;
  if (depth_ == kMaxDepth) return Fail(absl::StrFormat("is nested deeper than %d messages, the limit", kMaxDepth));
  ++depth_;
  const auto limit = in_.PushLimit(static_cast<int>(length));
  const bool within = in_.BytesUntilLimit() == static_cast<int>(length);  // else it reaches beyond what it is part of
  if (!within || !Message(type)) return false;
  in_.PopLimit(limit);
  --depth_;
  return true;
}

bool WireSchema::Walk::Text(uint32_t length) {
  const void* data = nullptr;
  int available = 0;
  in_.GetDirectBufferPointerInline(&data, &available);
  const bool whole = available >= 0 && static_cast<uint32_t>(available) >= length;
  if (!whole) {
    if (!in_.ReadString(&scratch_, static_cast<int>(length))) return false;
    data = scratch_.data();
  }
  if (!google::protobuf::internal::IsStructurallyValidUTF8(static_cast<const char*>(data), static_cast<int>(length)))
    return Fail("is not UTF-8");
  return !whole || in_.Skip(static_cast<int>(length));
}

bool WireSchema::Walk::Unknown(WireFormatLite::WireType wire) {
  bytes_ += kUnknownField;
  if (wire != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
    // No message of the API has groups, which could hide anything.
    return wire != WireFormatLite::WIRETYPE_START_GROUP && wire != WireFormatLite::WIRETYPE_END_GROUP &&
           WireFormatLite::SkipField(&in_, WireFormatLite::MakeTag(1, wire));
  }
  uint32_t length = 0;
  if (!ReadLength(length)) return false;
  bytes_ += StringBytes(length);
  return in_.Skip(static_cast<int>(length));
}

WireSchema::WireSchema(const Descriptor* type, const FieldLimits& limits) : root_(Add(type, limits)) {}
WireSchema::~WireSchema() = default;

const WireSchema::Type* WireSchema::Add(const Descriptor* type, const FieldLimits& limits) {
  auto& slot = types_[type];
  if (slot != nullptr) return slot.get();
  slot = std::make_unique<Type>();
  Type& out = *slot;  // `slot` may move when others are added
  // An entry of a map is a node of a hash table, whose key and value count by themselves.
  const bool map_entry = type->options().map_entry();
  auto* factory = google::protobuf::MessageFactory::generated_factory();
  out.bytes = map_entry ? kMapNode : factory->GetPrototype(type)->SpaceUsedLong();
  out.name = type->full_name();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* descriptor = type->field(i);
    const auto number = static_cast<size_t>(descriptor->number());
    if (number >= out.fields.size()) out.fields.resize(number + 1);
    const bool message = descriptor->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    const Type* inner = message ? Add(descriptor->message_type(), limits) : nullptr;
    Type::Field& field = out.fields[number];
    field.known = true;
    field.repeated = descriptor->is_repeated();
    field.text = descriptor->type() == FieldDescriptor::TYPE_STRING;
    field.wire = WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(descriptor->type()));
    field.message = inner;
    field.name = descriptor->name();
    field.wire_element = field.wire == WireFormatLite::WIRETYPE_FIXED32   ? 4
                         : field.wire == WireFormatLite::WIRETYPE_FIXED64 ? 8
                                                                          : 1;
    // Their array doubles when it is full.
    if (field.repeated) field.element_bytes = 2 * (field.wire_element == 4 ? sizeof(uint32_t) : sizeof(uint64_t));
    if (const auto limit = limits.find(descriptor->full_name()); limit != limits.end()) field.limit = limit->second;
  }
  return &out;
}

absl::StatusOr<uint64_t> WireSchema::Measure(google::protobuf::io::ZeroCopyInputStream& message,
                                             uint64_t wire_bytes) const {
  Walk walk(message, wire_bytes);
  if (!walk.Message(*root_)) return walk.error(*root_);
  const uint64_t most = kMaxExpansion * wire_bytes + kFreeExpansionBytes;
  if (walk.bytes() > most) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the request has %d bytes and would take up to %d of memory; the limit for it is %d: %d times its "
        "bytes and %d more, which very many very short entries exceed. Send fewer of them at a time",
        wire_bytes, walk.bytes(), most, kMaxExpansion, kFreeExpansionBytes));
  }
  return walk.bytes();
}

}  // namespace bebr
