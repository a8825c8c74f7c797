#include "index/types/document.h"

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
    case Metric::kL2:
      return "l2";
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

}  // namespace bebr
