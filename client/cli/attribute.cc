#include "client/cli/attribute.h"

#include <nlohmann/json.hpp>
#include <regex>
#include <variant>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "index/base/utf8.h"
#include "index/dataset/json_row.h"

namespace bebr {
namespace {

constexpr size_t kShownBytes = 40;
const std::regex kNumber(R"(\s*-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?\s*)");  // of JSON

}  // namespace

void SetAttribute(const AttributeValue& value, v1::AttributeValue* out) {
  if (const auto* text = std::get_if<std::string>(&value)) out->set_string_value(*text);
  if (const auto* number = std::get_if<int64_t>(&value)) out->set_int_value(*number);
  if (const auto* number = std::get_if<double>(&value)) out->set_double_value(*number);
  if (const auto* yes = std::get_if<bool>(&value)) out->set_bool_value(*yes);
  if (const auto* time = std::get_if<Timestamp>(&value)) out->set_timestamp_value(FormatTimestamp(*time));
  if (const auto* list = std::get_if<AttributeList>(&value)) {
    out->mutable_list_value();  // also of no values
    for (const AttributeScalar& scalar : *list) SetAttribute(ToValue(scalar), out->mutable_list_value()->add_values());
  }
}

absl::Status ReadAttribute(const std::string& name, const std::string& text, v1::AttributeValue* out) {
  if (!IsUtf8(name) || !IsUtf8(text)) {
    return absl::InvalidArgumentError(absl::StrFormat("%s=%s is not UTF-8; names and values of attributes are",
                                                      absl::CHexEscape(name),
                                                      absl::CHexEscape(text.substr(0, kShownBytes))));
  }
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  // The parser makes a float of a whole number beyond 64 bits.
  const bool too_large = (json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX) ||
                         (json.is_number_float() && text.find_first_of(".eE") == std::string::npos);
  if (json.is_null()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s=null: null stands for none; --remove %s takes it away, and %s='\"null\"' is the text", name, name, name));
  }
  if (too_large || (json.is_discarded() && std::regex_match(text, kNumber))) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s=%s: the number is beyond 64 bits; as text it is %s='\"%s\"'", name, text, name, text));
  }
  if (json.is_discarded()) {
    if (const size_t first = text.find_first_not_of(" \t\n");
        first != std::string::npos && absl::StrContains("[{", text[first])) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s=%s: it begins as a list or an object of JSON, and is none; as text it is %s=%s", name,
                          text, name, nlohmann::json(text).dump()));
    }
    out->set_string_value(text);
    return absl::OkStatus();
  }
  Attributes attributes;
  const std::string error =
      ParseJsonAttributes(absl::StrCat("{", nlohmann::json(name).dump(), ": ", text, "}"), &attributes);
  if (!error.empty() || attributes.size() != 1) {
    return absl::InvalidArgumentError(absl::StrFormat("%s=%s: %s", name, text, error));
  }
  SetAttribute(attributes.begin()->second, out);
  return absl::OkStatus();
}

absl::Status ReadRule(const std::string& text, v1::AttributeRule* out) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  bool known = parts.size() == 2 || parts.size() == 3;
  for (size_t i = 1; i < parts.size() && known; ++i) {
    v1::AttributeKind kind;
    v1::AttributeStorage storage;
    const std::string upper = absl::AsciiStrToUpper(parts[i]);
    if (i == 1 && v1::AttributeKind_Parse(absl::StrCat("ATTRIBUTE_KIND_", upper), &kind)) {
      out->set_kind(kind);
    } else if (i + 1 == parts.size() &&
               v1::AttributeStorage_Parse(absl::StrCat("ATTRIBUTE_STORAGE_", upper), &storage)) {
      out->set_storage(storage);
    } else {
      known = false;
    }
  }
  if (!known) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s is not NAME:KIND, NAME:STORAGE or NAME:KIND:STORAGE; kinds are string, int, "
                        "double, bool and timestamp, storages indexed and stored",
                        text));
  }
  out->set_name(parts[0]);
  return absl::OkStatus();
}

std::string WriteRule(const v1::AttributeRule& rule) {
  std::string text = rule.name();
  const auto add = [&text](const std::string& name, const char* prefix) {
    absl::StrAppend(&text, ":", absl::AsciiStrToLower(absl::StripPrefix(name, prefix)));
  };
  if (rule.kind() != v1::ATTRIBUTE_KIND_UNSPECIFIED) add(v1::AttributeKind_Name(rule.kind()), "ATTRIBUTE_KIND_");
  if (rule.storage() != v1::ATTRIBUTE_STORAGE_UNSPECIFIED) {
    add(v1::AttributeStorage_Name(rule.storage()), "ATTRIBUTE_STORAGE_");
  }
  return text;
}

}  // namespace bebr
