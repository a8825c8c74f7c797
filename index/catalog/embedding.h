// What makes an embedding that a version takes.
#ifndef BEBR_INDEX_CATALOG_EMBEDDING_H_
#define BEBR_INDEX_CATALOG_EMBEDDING_H_

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/catalog/manifest.h"

namespace bebr {

// Squares of values up to this add up, over kMaxCodeDims dims, within a float.
inline constexpr float kMaxAbsValue = 1e15f;

// INVALID_ARGUMENT, naming `field`, unless `values` are an embedding that `version` takes: its length, all finite and
// of magnitudes up to `max_abs`. Costs one pass over the values.
absl::Status CheckEmbedding(std::string_view field, absl::Span<const float> values, const Version& version,
                            float max_abs = kMaxAbsValue);

// The same of a version by its name and the values that it takes.
absl::Status CheckEmbedding(std::string_view field, absl::Span<const float> values, std::string_view version,
                            size_t dims, float max_abs = kMaxAbsValue);

// FAILED_PRECONDITION unless `checksum` is that of the model of `version`, or of one that takes the same embeddings, in
// use or retired: what was made for another model can have as many values and mean nothing here. 0 is not compared.
absl::Status CheckMadeFor(uint32_t checksum, const Version& version, const CollectionManifest& manifest);

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_EMBEDDING_H_
