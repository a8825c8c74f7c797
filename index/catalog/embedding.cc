#include "index/catalog/embedding.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_format.h"
#include "index/base/float16.h"

namespace bebr {

absl::Status CheckEmbedding(std::string_view field, absl::Span<const float> values, const Version& version,
                            float max_abs) {
  return CheckEmbedding(field, values, version.name, version.binarizer->input_dims(), max_abs);
}

absl::Status CheckEmbedding(std::string_view field, absl::Span<const float> values, std::string_view version,
                            size_t dims, float max_abs) {
  if (values.size() != dims) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s has %d values; version \"%s\" takes %d", field, values.size(), version, dims));
  }
  uint32_t largest = 0;  // magnitudes of floats are ordered like their bits
  for (const float value : values) largest = std::max(largest, std::bit_cast<uint32_t>(value) & 0x7FFFFFFFu);
  if (largest <= std::bit_cast<uint32_t>(max_abs)) return absl::OkStatus();
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s: value %d is %f; NaN and infinity are refused", field, i, values[i]));
    }
    if (std::fabs(values[i]) > max_abs) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "%s: value %d is %g; magnitudes up to %g are accepted here%s", field, i, values[i], max_abs,
          max_abs == kFloat16Max ? ", since the collection keeps f16; one that keeps f32 (store_floats) "
                                   "takes larger ones"
                                 : ""));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMadeFor(uint32_t checksum, const Version& version, const CollectionManifest& manifest) {
  if (checksum == 0) return absl::OkStatus();
  uint32_t own = 0;
  for (const Version& other : manifest.versions) {
    if (other.embedding != version.embedding) continue;
    const uint32_t has = other.binarizer != nullptr ? DescribeModel(*other.binarizer).checksum
                                                    : other.was.value_or(ModelDescription()).checksum;
    if (has == checksum) return absl::OkStatus();
    if (other.number == version.number) own = has;
  }
  return absl::FailedPreconditionError(absl::StrFormat(
      "model_checksum is %d, and version \"%s\" of collection \"%s\"%s has a model with checksum %d: what was made for "
      "another model finds nonsense. Name the version that it was made for, or make it by the new one",
      checksum, version.name, manifest.name, version.name == manifest.default_version ? ", the default," : "", own));
}

}  // namespace bebr
