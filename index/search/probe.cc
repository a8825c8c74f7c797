#include "index/search/probe.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace bebr {
namespace {

bool IsNearer(absl::Span<const float> nearness, uint32_t a, uint32_t b) {
  return nearness[a] != nearness[b] ? nearness[a] > nearness[b] : a < b;
}

}  // namespace

Probe::Probe(std::vector<uint64_t> documents)
    : documents_(std::move(documents)), total_(std::accumulate(documents_.begin(), documents_.end(), uint64_t{0})) {}

Probe::Choice Probe::Nearest(absl::Span<const float> nearness, float share) const {
  if (total_ == 0) return {};
  std::vector<uint32_t> order(groups());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return IsNearer(nearness, a, b); });
  GroupSet chosen = 0;
  uint64_t documents = 0;
  for (const uint32_t group : order) {
    if (Share(documents) >= share) break;
    chosen |= OneGroup(group);
    documents += documents_[group];
  }
  return {chosen, Share(documents)};
}

float Probe::NearerShare(absl::Span<const float> nearness, uint32_t group) const {
  uint64_t nearer = 0;
  for (uint32_t other = 0; other < groups(); ++other) {
    if (IsNearer(nearness, other, group)) nearer += documents_[other];
  }
  return total_ == 0 ? 0.0f : Share(nearer);
}

float ShareForRecall(absl::Span<const ProbePoint> curve, float recall) {
  for (const ProbePoint& point : curve) {
    if (point.recall >= recall) return point.share;
  }
  return 1.0f;
}

}  // namespace bebr
