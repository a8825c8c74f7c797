// Which groups of a space a query's nearest documents are looked for in.
#ifndef BEBR_INDEX_SEARCH_PROBE_H_
#define BEBR_INDEX_SEARCH_PROBE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/code/code_spec.h"
#include "index/types/collection.h"

namespace bebr {

// A Probe knows how many documents of a view are in each group of a space and ranks the groups for queries: by nearness
// (Binarizer::RankGroups), equal ones by number. Immutable; thread-safe.
class Probe {
 public:
  // Of nobody: no groups.
  Probe() = default;
  // `documents` by group.
  explicit Probe(std::vector<uint64_t> documents);

  uint32_t groups() const { return static_cast<uint32_t>(documents_.size()); }

  struct Choice {
    GroupSet groups = kAllGroups;
    float share = 1.0f;  // of the documents that are in these groups
  };
  // For a query with this nearness of each group: as many of the nearest groups as it takes to have at least `share` of
  // the documents; at least one.
  Choice Nearest(absl::Span<const float> nearness, float share) const;
  // The share of the documents in groups nearer than `group`: with more than that, Nearest chooses it.
  float NearerShare(absl::Span<const float> nearness, uint32_t group) const;

 private:
  // Shares are compared as floats, as a request has them: so a third is a third.
  float Share(uint64_t documents) const {
    return static_cast<float>(static_cast<double>(documents) / static_cast<double>(total_));
  }

  std::vector<uint64_t> documents_;
  uint64_t total_ = 0;
};

// The least share at which a measured curve, by rising share, reaches `recall`; 1 if it does nowhere.
float ShareForRecall(absl::Span<const ProbePoint> curve, float recall);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_PROBE_H_
