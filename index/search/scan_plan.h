// How a scan is shared out.
#ifndef BEBR_INDEX_SEARCH_SCAN_PLAN_H_
#define BEBR_INDEX_SEARCH_SCAN_PLAN_H_

#include <vector>

#include "index/code/code_spec.h"
#include "index/search/scan_filters.h"
#include "index/search/scan_target.h"

namespace bebr {

// The units of a scan: all blocks of the parts in which some filter leaves more than few rows. `any`: the groups that
// any of the queries wants; `all`: those that all of them want. Unless that is every group, a unit is of one group, and
// there are none of groups that nobody wants.
std::vector<ScanUnit> UnitsOf(const ScanTarget& target, const ScanFilters& filters, GroupSet any, GroupSet all);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCAN_PLAN_H_
