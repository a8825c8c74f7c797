// Numbers of the formats that programs other than the server look at.
#ifndef BEBR_INDEX_TYPES_FORMATS_H_
#define BEBR_INDEX_TYPES_FORMATS_H_

#include <cstdint>

namespace bebr {

// Of manifest.json of a collection (catalog/FORMAT.md): what this release writes, and of a collection with a schema of
// attributes, which earlier ones would lose. It reads all from 1 on.
inline constexpr uint32_t kManifestFormat = 2;
inline constexpr uint32_t kNewestManifestFormat = 3;

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_FORMATS_H_
