// Whether a new version is as good as the old one.
#ifndef BEBR_INDEX_UPGRADE_VERSION_CHECK_H_
#define BEBR_INDEX_UPGRADE_VERSION_CHECK_H_

#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/types/collection.h"
#include "index/upgrade/recall.h"

namespace bebr {

// Compares two versions of a collection: Engine::CheckVersion. Queries that are sampled documents (those with the
// smallest hashes of their ids among the documents that have floats of both versions) do not count themselves among
// their neighbours. Exact neighbours are those among the documents that have floats of the version.
absl::StatusOr<VersionCheck> CompareVersions(const Collection& collection, const CheckRequest& request,
                                             const SearchNow& search, const ReadingPace& pace);

}  // namespace bebr

#endif  // BEBR_INDEX_UPGRADE_VERSION_CHECK_H_
