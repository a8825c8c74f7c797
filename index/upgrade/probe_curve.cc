#include "index/upgrade/probe_curve.h"

#include <algorithm>
#include <utility>

#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr float kShares[] = {0.01f, 0.02f, 0.03f, 0.05f, 0.07f, 0.1f, 0.15f, 0.2f,
                             0.25f, 0.3f,  0.4f,  0.5f,  0.6f,  0.7f, 0.85f, 1.0f};
// Few at a time: clients' searches wait for the scan that these share.
constexpr size_t kQueriesAtATime = 16;

// Adds to each share how much of these hits a probe of it finds: of the first k without `self`. False if there are
// none.
bool AddFound(const std::vector<SearchHit>& hits, const std::string* self, size_t k, std::vector<double>& found) {
  std::vector<float> nearer;
  for (const SearchHit& hit : hits) {
    if (nearer.size() < k && (self == nullptr || hit.id != *self)) nearer.push_back(hit.explanation->nearer_share);
  }
  if (nearer.empty()) return false;
  for (size_t i = 0; i < std::size(kShares); ++i) {
    const auto below = std::count_if(nearer.begin(), nearer.end(), [i](float share) { return share < kShares[i]; });
    found[i] += static_cast<double>(below) / static_cast<double>(nearer.size());
  }
  return true;
}

}  // namespace

absl::StatusOr<std::vector<ProbePoint>> MeasureProbes(const CollectionManifest& manifest, const Version& version,
                                                      const Queries& queries, size_t k, const SearchNow& search,
                                                      const ReadingPace& pace) {
  if (version.binarizer->spec().groups() == 1 || queries.rows.size() < kLeastProbeQueries)
    return std::vector<ProbePoint>();
  std::vector<double> found(std::size(kShares), 0.0);
  size_t counted = 0;
  for (size_t first = 0; first < queries.rows.size(); first += kQueriesAtATime) {
    const size_t end = std::min(queries.rows.size(), first + kQueriesAtATime);
    SearchRequest request{.collection = manifest.name, .version = version.name, .k = k + 1, .explain = true};
    request.deadline = pace.deadline;
    request.cancelled = pace.cancelled;
    for (size_t q = first; q < end; ++q) request.queries.push_back(queries.rows[q]);
    BEBR_ASSIGN_OR_RETURN(const SearchResult result, search(std::move(request)));
    for (size_t q = first; q < end; ++q) {
      const std::string* self = queries.ids.empty() ? nullptr : &queries.ids[q];
      counted += AddFound(result.hits[q - first], self, k, found) ? 1 : 0;
    }
  }
  std::vector<ProbePoint> curve;
  for (size_t i = 0; counted > 0 && i < found.size(); ++i)
    curve.push_back({kShares[i], static_cast<float>(found[i] / static_cast<double>(counted))});
  return curve;
}

}  // namespace bebr
