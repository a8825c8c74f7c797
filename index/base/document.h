// The value types of a document that every layer shares.
#ifndef BEBR_INDEX_BASE_DOCUMENT_H_
#define BEBR_INDEX_BASE_DOCUMENT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"

namespace bebr {

inline constexpr size_t kMaxIdBytes = 512;
inline constexpr size_t kMaxAttributes = 64;
inline constexpr size_t kMaxAttributeNameBytes = 128;
inline constexpr size_t kMaxAttributesBytes = 16 << 10;  // names and values of one document together

// One attribute value. The order of the alternatives is part of the storage format.
using AttributeValue = std::variant<std::string, int64_t, double, bool>;
using Attributes = std::map<std::string, AttributeValue, std::less<>>;

// How a collection keeps the floats it was sent, beside their codes. The numbers are part of the storage format.
enum class FloatStorage : uint8_t { kNone = 0, kFloat16 = 1, kFloat32 = 2 };

// What scores estimate. The numbers are part of the storage format.
enum class Metric : uint8_t { kCosine = 0, kInnerProduct = 1 };

std::string_view ToString(FloatStorage storage);
std::string_view ToString(Metric metric);

// INVALID_ARGUMENT, naming `field`, the length and the limit, unless `id` has 1..kMaxIdBytes bytes.
absl::Status ValidateId(std::string_view field, std::string_view id);
// INVALID_ARGUMENT unless count, name lengths and total size are within the limits above and no double is NaN or
// infinite.
absl::Status ValidateAttributes(std::string_view field, const Attributes& attributes);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_DOCUMENT_H_
