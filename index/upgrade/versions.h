// The changes that adding and retiring a version make to a collection's manifest.
#ifndef BEBR_INDEX_UPGRADE_VERSIONS_H_
#define BEBR_INDEX_UPGRADE_VERSIONS_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "index/catalog/manifest.h"
#include "index/collection/collection.h"
#include "index/types/collection.h"

namespace bebr {

// The manifest with one version more. ALREADY_EXISTS if a version has or had its name; INVALID_ARGUMENT if metric, code
// shape or dimensions do not fit the version whose space or embeddings it is to share.
absl::StatusOr<CollectionManifest> WithVersion(CollectionManifest manifest, const VersionConfig& config,
                                               std::shared_ptr<const Binarizer> binarizer);

// The manifest with that version retired, and its space gone if no other version maps into it. FAILED_PRECONDITION if
// it is the default, or if documents would be out of the default's reach.
absl::StatusOr<CollectionManifest> WithoutVersion(const Collection& collection, std::string_view version);

}  // namespace bebr

#endif  // BEBR_INDEX_UPGRADE_VERSIONS_H_
