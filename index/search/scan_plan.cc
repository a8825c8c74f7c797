#include "index/search/scan_plan.h"

#include <algorithm>

namespace bebr {
namespace {

void AddUnits(uint32_t part, uint32_t begin, uint32_t end, GroupSet groups, std::vector<ScanUnit>& units) {
  for (; begin < end; begin += kUnitBlocks) units.push_back({part, begin, std::min(begin + kUnitBlocks, end), groups});
}

// A part's stretches of one group follow each other.
void AddUnitsByGroup(const ScanTarget& target, uint32_t part, GroupSet wanted, std::vector<ScanUnit>& units) {
  const auto& stretches = target.parts()[part].stretches;
  for (auto first = stretches.begin(); first != stretches.end();) {
    const auto end = std::find_if(first, stretches.end(), [&](const auto& s) { return s.group != first->group; });
    const GroupSet group = OneGroup(first->group);
    if ((group & wanted) != 0) AddUnits(part, first->begin, (end - 1)->end, group, units);
    first = end;
  }
}

}  // namespace

std::vector<ScanUnit> UnitsOf(const ScanTarget& target, const ScanFilters& filters, GroupSet any, GroupSet all) {
  std::vector<ScanUnit> units;
  for (uint32_t part = 0; part < target.parts().size(); ++part) {
    if (filters.many(part).empty()) continue;
    if (all == kAllGroups) {
      AddUnits(part, 0, target.parts()[part].block_count(), kAllGroups, units);
    } else {
      AddUnitsByGroup(target, part, any, units);
    }
  }
  return units;
}

}  // namespace bebr
