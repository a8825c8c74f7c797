// The value types of a document, which every layer shares, and their limits.
#ifndef BEBR_INDEX_TYPES_DOCUMENT_H_
#define BEBR_INDEX_TYPES_DOCUMENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "index/types/attributes.h"

namespace bebr {

inline constexpr size_t kMaxIdBytes = 512;

// How a collection keeps the floats it was sent, beside their codes. The numbers are part of the storage format.
enum class FloatStorage : uint8_t { kNone = 0, kFloat16 = 1, kFloat32 = 2 };

// What scores estimate. The numbers are part of the storage format.
enum class Metric : uint8_t {
  kCosine = 0,
  kInnerProduct = 1,
  kL2 = 2,  // minus the squared Euclidean distance
};

// Floats of a document as a collection keeps them.
struct StoredEmbedding {
  std::string version;
  std::vector<float> values;  // as stored: rounded to f16 if the collection keeps f16; empty if it keeps none
};

// A document as it is read back.
struct Document {
  std::string id;
  Attributes attributes;
  std::vector<StoredEmbedding> embeddings;
};

std::string_view ToString(FloatStorage storage);
std::string_view ToString(Metric metric);

// INVALID_ARGUMENT, naming `field`, unless it has 1..limit entries.
absl::Status ValidateCount(std::string_view field, size_t count, size_t limit);
// INVALID_ARGUMENT, naming `field`, the length and the limit, unless `id` has 1..kMaxIdBytes bytes.
absl::Status ValidateId(std::string_view field, std::string_view id);

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_DOCUMENT_H_
