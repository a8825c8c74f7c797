#include "index/types/attributes.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "index/types/shown_text.h"

namespace bebr {
namespace {

constexpr int64_t kLeastTime = -62167219200000000, kMostTime = 253402300799999999;  // years 0 to 9999

// Whether the text has digits and marks where RFC 3339 wants them: absl::ParseTime takes more than that.
bool LooksLikeTime(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00";
  if (text.size() <= kShape.size()) return false;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const char c = text[i];
    const bool fits = kShape[i] == '0'   ? absl::ascii_isdigit(static_cast<unsigned char>(c))
                      : kShape[i] == 'T' ? c == 'T' || c == 't'
                                         : c == kShape[i];
    if (!fits) return false;
  }
  const std::string_view rest = text.substr(kShape.size());
  const std::string_view zone = rest.substr(std::min(rest.find_first_of("Zz+-"), rest.size()));
  return zone == "Z" || zone == "z" || (zone.size() == 6 && zone[3] == ':');
}

std::string_view NameOf(const AttributeScalar& value) {
  static constexpr std::string_view kNames[] = {"text", "an integer", "a decimal", "true or false", "a timestamp"};
  return kNames[value.index()];
}

absl::Status CheckFinite(std::string_view field, std::string_view name, const AttributeValue& value) {
  const auto check = [&](const double* number) {
    if (number == nullptr || std::isfinite(*number)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrFormat("%s[\"%s\"] is %f; NaN and infinity are refused", field, name, *number));
  };
  const auto* list = std::get_if<AttributeList>(&value);
  if (list == nullptr) return check(std::get_if<double>(&value));
  for (const AttributeScalar& scalar : *list) {
    if (absl::Status status = check(std::get_if<double>(&scalar)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Conform(std::string_view field, std::string_view name, AttributeKind kind, AttributeScalar& value) {
  if (value.index() + 1 == static_cast<size_t>(kind)) return absl::OkStatus();
  if (const auto* integer = std::get_if<int64_t>(&value); integer != nullptr && kind == AttributeKind::kDouble) {
    value = static_cast<double>(*integer);
    return absl::OkStatus();
  }
  if (const auto* text = std::get_if<std::string>(&value); text != nullptr && kind == AttributeKind::kTimestamp) {
    absl::StatusOr<Timestamp> time = ParseTimestamp(*text);
    if (!time.ok()) {
      return absl::InvalidArgumentError(absl::StrFormat("%s[\"%s\"] %s", field, name, time.status().message()));
    }
    value = *time;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrFormat("%s[\"%s\"] is %s; by the collection's schema it is of type %s",
                                                    field, name, NameOf(value), ToString(kind)));
}

bool IsLong(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return text->size() > kMaxIndexedTextBytes;
  const auto* list = std::get_if<AttributeList>(&value);
  return list != nullptr && std::any_of(list->begin(), list->end(), [](const AttributeScalar& scalar) {
           const auto* text = std::get_if<std::string>(&scalar);
           return text != nullptr && text->size() > kMaxIndexedTextBytes;
         });
}

absl::Status CheckName(std::string_view field, std::string_view name) {
  if (!name.empty() && name.size() <= kMaxAttributeNameBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat("%s has an attribute name of %d bytes; a name has 1 to %d", field,
                                                    name.size(), kMaxAttributeNameBytes));
}

}  // namespace

AttributeValue ToValue(AttributeScalar scalar) {
  return std::visit([](auto&& value) { return AttributeValue(std::forward<decltype(value)>(value)); },
                    std::move(scalar));
}

AttributeScalar ToScalar(AttributeValue value) {
  return std::visit(
      [](auto&& one) -> AttributeScalar {
        if constexpr (std::is_same_v<std::decay_t<decltype(one)>, AttributeList>) {
          return std::string();
        } else {
          return std::forward<decltype(one)>(one);
        }
      },
      std::move(value));
}

size_t ValueBytes(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return text->size();
  const auto* list = std::get_if<AttributeList>(&value);
  if (list == nullptr) return sizeof(int64_t);
  size_t bytes = list->size() * sizeof(int64_t);
  for (const AttributeScalar& scalar : *list) {
    if (const auto* text = std::get_if<std::string>(&scalar)) bytes += text->size();
  }
  return bytes;
}

absl::StatusOr<Timestamp> ParseTimestamp(std::string_view text) {
  absl::Time time;
  std::string error;
  if (LooksLikeTime(text)) {
    std::string upper(text);
    absl::AsciiStrToUpper(&upper);
    if (absl::ParseTime(absl::RFC3339_full, upper, &time, &error)) {
      const int64_t unix_us = absl::ToUnixMicros(time);
      if (unix_us >= kLeastTime && unix_us <= kMostTime) return Timestamp{unix_us};
    }
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("is no timestamp: \"%s\"; one reads 2026-01-31T12:00:00Z or 2026-01-31T13:00:00.25+01:00",
                      ShownInMessage(absl::string_view(text.data(), text.size()))));
}

std::string FormatTimestamp(Timestamp time) {
  return absl::FormatTime("%E4Y-%m-%dT%H:%M:%E*SZ", absl::FromUnixMicros(time.unix_us), absl::UTCTimeZone());
}

std::string_view ToString(AttributeKind kind) {
  static constexpr std::string_view kNames[] = {"any", "string", "int", "double", "bool", "timestamp"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view ToString(AttributeStorage storage) {
  static constexpr std::string_view kNames[] = {"by_size", "indexed", "stored"};
  return kNames[static_cast<size_t>(storage)];
}

bool IsStoredOnly(const AttributeSchema& schema, std::string_view name, const AttributeValue& value) {
  const auto rule = schema.find(name);
  if (rule == schema.end() || rule->second.storage == AttributeStorage::kBySize) return IsLong(value);
  return rule->second.storage == AttributeStorage::kStored;
}

absl::Status ValidateAttributes(std::string_view field, const Attributes& attributes, const AttributeSchema& schema) {
  if (attributes.size() > kMaxAttributes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s has %d attributes; the limit is %d", field, attributes.size(), kMaxAttributes));
  }
  size_t all = 0, indexed = 0;
  for (const auto& [name, value] : attributes) {
    if (absl::Status status = CheckName(field, name); !status.ok()) return status;
    if (absl::Status status = CheckFinite(field, name, value); !status.ok()) return status;
    const size_t bytes = name.size() + ValueBytes(value);
    all += bytes;
    if (!IsStoredOnly(schema, name, value)) indexed += bytes;
  }
  if (all > kMaxAttributesBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s has %d bytes in all; the limit is %d", field, all, kMaxAttributesBytes));
  }
  if (indexed > kMaxIndexedAttributesBytes) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s has %d bytes that filters compare; the limit is %d. Texts of more than %d bytes, and what the collection's "
        "schema says is stored, do not count",
        field, indexed, kMaxIndexedAttributesBytes, kMaxIndexedTextBytes));
  }
  return absl::OkStatus();
}

absl::Status ConformAttributes(std::string_view field, const AttributeSchema& schema, Attributes& attributes) {
  if (schema.empty()) return absl::OkStatus();
  for (auto& [name, value] : attributes) {
    const auto rule = schema.find(name);
    if (rule == schema.end() || rule->second.kind == AttributeKind::kAny) continue;
    if (auto* list = std::get_if<AttributeList>(&value)) {
      for (AttributeScalar& scalar : *list) {
        if (absl::Status status = Conform(field, name, rule->second.kind, scalar); !status.ok()) return status;
      }
      continue;
    }
    AttributeScalar scalar = ToScalar(std::move(value));
    if (absl::Status status = Conform(field, name, rule->second.kind, scalar); !status.ok()) return status;
    value = ToValue(std::move(scalar));
  }
  return absl::OkStatus();
}

absl::Status ValidateSchema(const AttributeSchema& schema) {
  if (schema.size() > kMaxAttributeRules) {
    return absl::InvalidArgumentError(
        absl::StrFormat("attributes has %d entries; the limit is %d", schema.size(), kMaxAttributeRules));
  }
  for (const auto& [name, rule] : schema) {
    if (absl::Status status = CheckName("attributes", name); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace bebr
