// Whether a manifest can be true.
#ifndef BEBR_INDEX_CATALOG_MANIFEST_CHECK_H_
#define BEBR_INDEX_CATALOG_MANIFEST_CHECK_H_

#include "absl/status/status.h"
#include "index/catalog/manifest.h"

namespace bebr {

// DATA_LOSS, naming the field, unless what a manifest says of names, numbers, spaces, versions and their embeddings
// holds together, as everything above the catalogue takes for granted. Files are written whole, so what does not was
// changed by somebody. Needs no binarizers.
absl::Status CheckManifest(const CollectionManifest& manifest);
// DATA_LOSS unless `binarizer` can be that of `version`, whose manifest is checked: its code has the shape of the
// version's space, and it takes as many floats as the versions of the same embedding that have their binarizers.
absl::Status CheckModel(const CollectionManifest& manifest, const Version& version, const Binarizer& binarizer);

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_MANIFEST_CHECK_H_
