#include "index/search/filter_lookup.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/types/span.h"
#include "index/search/list_match.h"
#include "index/search/located_ids.h"
#include "index/search/value_ranges.h"

namespace bebr {
namespace {

constexpr size_t kFewShare = 32;      // of the rows, one in so many,
constexpr size_t kAlwaysFew = 64;     // or that many
constexpr size_t kMostRanges = 64;    // that are looked up: more cost as much as a pass over the rows
constexpr size_t kMostTests = 16;     // of a conjunction that are looked up
constexpr uint32_t kManyRows = 1024;  // for fewer an index is built at once

using Ranges = std::vector<KeyRange>;

// Looks up conditions in the columns of a segment.
class Finder {
 public:
  Finder(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary, const Filter::Ids* ids,
         uint32_t rows, bool may_build)
      : columns_(columns),
        dictionary_(dictionary),
        ids_(ids),
        rows_(rows),
        most_(std::max(rows / kFewShare, kAlwaysFew)),
        may_build_(may_build) {}

  std::optional<FewRows> Find(const Filter::Node& node) const {
    switch (node.kind) {
      case Filter::Node::Kind::kTest: {
        if (node.of_id) return FindIds(node);
        if (IsContains(node.op)) return FindLists(node);
        const auto ranges = RangesOf(node, dictionary_, kMostRanges);
        return ranges.has_value() ? FindRanges(node.name, *ranges) : std::nullopt;
      }
      case Filter::Node::Kind::kAnd:
        return FindAnd(node);
      case Filter::Node::Kind::kOr:
        return FindOr(node);
      case Filter::Node::Kind::kNot:
        return std::nullopt;
    }
    return std::nullopt;
  }

 private:
  // Whether an index of so many bytes is there, or may be built.
  bool Usable(uint64_t bytes) const { return may_build_ || bytes > 0 || rows_ < kManyRows; }

  std::optional<FewRows> FindRanges(const std::string& name, const Ranges& ranges) const {
    const auto column = columns_.find(name);
    FewRows found;
    if (column == columns_.end()) return found;
    // An index without values has no bytes.
    const auto has = [&](const KeyRange& range) { return column->second->Has(range.type, rows_); };
    if (std::none_of(ranges.begin(), ranges.end(), has)) return found;
    if (!Usable(column->second->index.memory_bytes())) return std::nullopt;
    const ColumnRows rows{column->second->types.data(), column->second->values.data(), rows_};
    if (!column->second->index.Find(rows, ranges, most_, found.rows)) return std::nullopt;
    return found;
  }

  std::optional<FewRows> FindIds(const Filter::Node& test) const {
    if (ids_ == nullptr) return FewRows();
    if (!IsLocated(test) || test.op == FilterOperator::kNotEqual) return std::nullopt;
    const absl::Span<const uint16_t> rows = RowsWithIds(test, *ids_);
    if (rows.size() > most_) return std::nullopt;
    return FewRows{{rows.begin(), rows.end()}};
  }

  std::optional<FewRows> FindLists(const Filter::Node& test) const {
    const auto column = columns_.find(test.name);
    if (column == columns_.end()) return FewRows();
    if (!Usable(column->second->lists.memory_bytes())) return std::nullopt;
    const ListMatch match(test, *column->second, rows_);
    auto rows = match.Few(most_);
    if (!rows.has_value()) return std::nullopt;
    return FewRows{*std::move(rows), match.exact()};
  }

  // The rows of the child that leaves the fewest. Tests of one attribute, as both bounds of an interval, are one.
  std::optional<FewRows> FindAnd(const Filter::Node& node) const {
    std::optional<FewRows> best;
    const size_t tests = std::min(node.children.size(), kMostTests);
    std::vector<bool> seen(tests, false);
    for (size_t i = 0; i < tests; ++i) {
      const Filter::Node& child = *node.children[i];
      std::optional<FewRows> found;
      size_t together = 1;
      if (seen[i]) continue;
      if (child.kind != Filter::Node::Kind::kTest || child.of_id || IsContains(child.op)) {
        found = Find(child);
      } else if (auto ranges = RangesOf(child, dictionary_, kMostRanges)) {
        for (size_t j = i + 1; j < tests; ++j) {
          const Filter::Node& other = *node.children[j];
          if (other.kind != Filter::Node::Kind::kTest || other.name != child.name) continue;
          const auto more = RangesOf(other, dictionary_, kMostRanges);
          if (!more.has_value()) continue;
          ranges = Intersect(*ranges, *more);
          seen[j] = true;
          ++together;
        }
        found = FindRanges(child.name, *ranges);
      }
      if (!found.has_value() || (best.has_value() && best->rows.size() <= found->rows.size())) continue;
      best = std::move(found);
      best->exact = best->exact && together == node.children.size();
      if (best->rows.empty()) break;
    }
    return best;
  }

  std::optional<FewRows> FindOr(const Filter::Node& node) const {
    FewRows all;
    for (const auto& child : node.children) {
      const auto found = Find(*child);
      if (!found.has_value()) return std::nullopt;
      std::vector<uint16_t> both;
      std::set_union(all.rows.begin(), all.rows.end(), found->rows.begin(), found->rows.end(),
                     std::back_inserter(both));
      if (both.size() > most_) return std::nullopt;
      all.rows = std::move(both);
      all.exact = all.exact && found->exact;
    }
    return all;
  }

  const AttributeColumns::Map& columns_;
  const AttributeDictionary& dictionary_;
  const Filter::Ids* ids_;
  const uint32_t rows_;
  const size_t most_;
  const bool may_build_;
};

}  // namespace

std::optional<FewRows> LookUp(const Filter::Node& condition, const AttributeColumns::Map& columns,
                              const AttributeDictionary& dictionary, const Filter::Ids* ids, uint32_t rows,
                              bool may_build) {
  return Finder(columns, dictionary, ids, rows, may_build).Find(condition);
}

}  // namespace bebr
