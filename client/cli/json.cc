// Messages as JSON.
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "bebr/v1/types.pb.h"
#include "client/cli/command.h"

namespace bebr {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using nlohmann::ordered_json;

// FLOAT_STORAGE_F16 of the enum FloatStorage becomes "f16".
std::string ShortName(const EnumValueDescriptor& value) {
  std::string prefix;
  for (const char c : value.type()->name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix += '_';
    prefix += absl::ascii_toupper(c);
  }
  prefix += '_';
  const std::string& name = value.name();
  return absl::AsciiStrToLower(absl::StartsWith(name, prefix) ? name.substr(prefix.size()) : name);
}

ordered_json AttributeToJson(const v1::AttributeValue& value) {
  switch (value.kind_case()) {
    case v1::AttributeValue::kStringValue:
      return value.string_value();
    case v1::AttributeValue::kIntValue:
      return value.int_value();
    case v1::AttributeValue::kDoubleValue:
      return value.double_value();
    case v1::AttributeValue::kBoolValue:
      return value.bool_value();
    case v1::AttributeValue::kTimestampValue:
      return {{"timestamp", value.timestamp_value()}};
    case v1::AttributeValue::kListValue: {
      ordered_json list = ordered_json::array();
      for (const v1::AttributeValue& one : value.list_value().values()) list.push_back(AttributeToJson(one));
      return list;
    }
    case v1::AttributeValue::KIND_NOT_SET:
      break;
  }
  return nullptr;
}

ordered_json MessageToJson(const Message& message) {
  if (const auto* attribute = dynamic_cast<const v1::AttributeValue*>(&message)) return AttributeToJson(*attribute);
  return ToJson(message);
}

ordered_json SingleToJson(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection->GetInt64(message, field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection->GetUInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection->GetUInt64(message, field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->GetDouble(message, field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection->GetFloat(message, field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return ShortName(*reflection->GetEnum(message, field));
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->GetString(message, field);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageToJson(reflection->GetMessage(message, field));
  }
  return nullptr;
}

ordered_json RepeatedToJson(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  ordered_json list = ordered_json::array();
  for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
    // The API repeats messages, strings, floats and words only.
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      list.push_back(MessageToJson(reflection->GetRepeatedMessage(message, field, i)));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
      list.push_back(reflection->GetRepeatedFloat(message, field, i));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
      list.push_back(reflection->GetRepeatedUInt32(message, field, i));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      list.push_back(reflection->GetRepeatedString(message, field, i));
    }
  }
  return list;
}

ordered_json MapToJson(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  std::map<std::string, ordered_json> sorted;  // a map's own order changes from run to run
  for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
    const Message& entry = reflection->GetRepeatedMessage(message, field, i);
    const std::string key = entry.GetReflection()->GetString(entry, field->message_type()->map_key());
    sorted[key] = SingleToJson(entry, field->message_type()->map_value());
  }
  ordered_json object = ordered_json::object();
  for (auto& [key, value] : sorted) object[key] = std::move(value);
  return object;
}

}  // namespace

ordered_json ToJson(const Message& message) {
  const auto* descriptor = message.GetDescriptor();
  ordered_json object = ordered_json::object();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->is_map()) {
      object[field->name()] = MapToJson(message, field);
    } else if (field->is_repeated()) {
      object[field->name()] = RepeatedToJson(message, field);
    } else if (!field->has_presence() || message.GetReflection()->HasField(message, field)) {
      object[field->name()] = SingleToJson(message, field);
    }
  }
  return object;
}

}  // namespace bebr
