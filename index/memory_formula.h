#ifndef BEBR_INDEX_MEMORY_FORMULA_H_
#define BEBR_INDEX_MEMORY_FORMULA_H_

#include <cstdint>

#include "index/catalog/catalog.h"
#include "index/engine.h"

namespace bebr {

// Mean length of an id where nobody says another one.
inline constexpr double kUsualIdBytes = 16;

// The memory formula of the README: what a collection of this manifest takes for `documents` documents with ids of
// `id_bytes` bytes on average, without attributes.
MemoryUse EstimateMemory(const CollectionManifest& manifest, uint64_t documents, double id_bytes);

}  // namespace bebr

#endif  // BEBR_INDEX_MEMORY_FORMULA_H_
