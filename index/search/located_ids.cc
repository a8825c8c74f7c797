#include "index/search/located_ids.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "index/search/filter_parser.h"

namespace bebr {
namespace {

std::vector<std::string_view> IdsOf(const Filter::Node& test) {
  absl::flat_hash_set<std::string_view> ids;
  for (const AttributeScalar& literal : test.literals) ids.insert(std::get<std::string>(literal));
  return {ids.begin(), ids.end()};
}

}  // namespace

Filter::LocatedIds LocateIds(absl::Span<const Filter* const> filters, const ShardSet& shards,
                             const CollectionView& view) {
  Filter::LocatedIds located;
  for (const Filter* filter : filters) {
    for (const Filter::Node* test : filter->LocatedTests()) {
      const auto [of_test, added] = located.try_emplace(test);
      if (!added) continue;
      for (const RowInView& found : shards.Locate(view, IdsOf(*test))) {
        if (found.segment == nullptr) continue;
        of_test->second[found.segment->segment.get()].push_back(static_cast<uint16_t>(found.row));
      }
      for (auto& [segment, rows] : of_test->second) std::sort(rows.begin(), rows.end());
    }
  }
  return located;
}

absl::Span<const uint16_t> RowsWithIds(const Filter::Node& test, const Filter::Ids& ids) {
  const auto& by_segment = ids.located.at(&test);
  const auto rows = by_segment.find(&ids.segment);
  return rows == by_segment.end() ? absl::Span<const uint16_t>() : absl::MakeConstSpan(rows->second);
}

}  // namespace bebr
