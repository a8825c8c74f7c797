// What probes of a share of the documents find.
#ifndef BEBR_INDEX_UPGRADE_PROBE_CURVE_H_
#define BEBR_INDEX_UPGRADE_PROBE_CURVE_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "index/upgrade/recall.h"

namespace bebr {

// With fewer queries nothing is said.
inline constexpr size_t kLeastProbeQueries = 50;

// Of the k documents that a version's codes find for each query among all documents, the mean share that a search of
// the nearest groups finds, for rising shares of the documents, the last of them 1. Queries that are documents do not
// count themselves. From one search of all documents, which tells for each hit how much is nearer. Empty: the space has
// no groups, or there are fewer than kLeastProbeQueries.
absl::StatusOr<std::vector<ProbePoint>> MeasureProbes(const CollectionManifest& manifest, const Version& version,
                                                      const Queries& queries, size_t k, const SearchNow& search,
                                                      const ReadingPace& pace);

}  // namespace bebr

#endif  // BEBR_INDEX_UPGRADE_PROBE_CURVE_H_
