#include "index/types/document.h"

#include <cmath>

#include "absl/strings/str_format.h"

namespace bebr {

std::string_view ToString(FloatStorage storage) {
  switch (storage) {
    case FloatStorage::kNone:
      return "none";
    case FloatStorage::kFloat16:
      return "f16";
    case FloatStorage::kFloat32:
      return "f32";
  }
  return "invalid";
}

std::string_view ToString(Metric metric) {
  switch (metric) {
    case Metric::kCosine:
      return "cosine";
    case Metric::kInnerProduct:
      return "inner_product";
  }
  return "invalid";
}

absl::Status ValidateCount(std::string_view field, size_t count, size_t limit) {
  if (count > 0 && count <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat("%s has %d entries; a request has 1 to %d", field, count, limit));
}

absl::Status ValidateId(std::string_view field, std::string_view id) {
  if (id.empty())
    return absl::InvalidArgumentError(absl::StrFormat("%s is empty; an id has 1 to %d bytes", field, kMaxIdBytes));
  if (id.size() > kMaxIdBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s has %d bytes; the limit is %d", field, id.size(), kMaxIdBytes));
  }
  return absl::OkStatus();
}

absl::Status ValidateAttributes(std::string_view field, const Attributes& attributes) {
  if (attributes.size() > kMaxAttributes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s has %d attributes; the limit is %d", field, attributes.size(), kMaxAttributes));
  }
  size_t bytes = 0;
  for (const auto& [name, value] : attributes) {
    if (name.empty() || name.size() > kMaxAttributeNameBytes) {
      return absl::InvalidArgumentError(absl::StrFormat("%s has an attribute name of %d bytes; a name has 1 to %d",
                                                        field, name.size(), kMaxAttributeNameBytes));
    }
    bytes += name.size();
    if (const auto* text = std::get_if<std::string>(&value)) {
      bytes += text->size();
    } else {
      bytes += sizeof(int64_t);
      if (const auto* number = std::get_if<double>(&value); number != nullptr && !std::isfinite(*number)) {
        return absl::InvalidArgumentError(
            absl::StrFormat("%s[\"%s\"] is %f; NaN and infinity are refused", field, name, *number));
      }
    }
  }
  if (bytes > kMaxAttributesBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s has %d bytes in all; the limit is %d", field, bytes, kMaxAttributesBytes));
  }
  return absl::OkStatus();
}

}  // namespace bebr
