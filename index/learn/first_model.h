// What a collection without a model file begins with.
#ifndef BEBR_INDEX_LEARN_FIRST_MODEL_H_
#define BEBR_INDEX_LEARN_FIRST_MODEL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/catalog/manifest.h"
#include "index/types/collection.h"

namespace bebr {

// Bits of a code where nobody says: two a float, 256 to 1,024. What they reach: client/README.md.
uint32_t UsualBits(uint32_t dims);
// The bits that a collection begins with.
uint32_t FirstBits(const AutoBinarizerConfig& config);

// INVALID_ARGUMENT names the field, the value and the limit.
absl::Status CheckAutoBinarizer(const AutoBinarizerConfig& config);

// The file of the model that knows nothing of the data (DataFreeModel). Cost: some 0.1 s at 1,536 floats.
absl::StatusOr<std::string> FirstModelFile(const AutoBinarizerConfig& config);

// The name of the first version.
inline constexpr const char* kFirstVersion = "auto-0";

// Makes the manifest of a new collection one whose binarizers the engine makes: its record, how floats are stored, and
// the rerank that searches have until the first fit measures it.
void BeginLearning(const CollectionConfig& config, CollectionManifest& manifest);

}  // namespace bebr

#endif  // BEBR_INDEX_LEARN_FIRST_MODEL_H_
