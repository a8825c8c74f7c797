#include "index/search/filter_lookup.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <variant>

#include "index/search/number_order.h"

namespace bebr {
namespace {

constexpr size_t kFewShare = 32;    // of the rows, one in so many,
constexpr size_t kAlwaysFew = 64;   // or that many
constexpr size_t kMostRanges = 64;  // that are looked up: more cost as much as a pass over the rows
constexpr size_t kMostTests = 16;   // of a conjunction that are looked up

using Ranges = std::vector<KeyRange>;

uint64_t KeyOf(int64_t value) { return OrderKey(AttributeType::kInt, static_cast<uint64_t>(value)); }
uint64_t KeyOf(double value) { return OrderKey(AttributeType::kDouble, std::bit_cast<uint64_t>(value)); }

void AddEqual(const AttributeScalar& literal, const AttributeDictionary& dictionary, Ranges& ranges) {
  const auto add = [&ranges](AttributeType type, uint64_t least, uint64_t most) {
    ranges.push_back({type, least, most});
  };
  if (const auto* text = std::get_if<std::string>(&literal)) {
    if (const auto number = dictionary.Find(*text)) add(AttributeType::kString, *number, *number);
  } else if (const auto* flag = std::get_if<bool>(&literal)) {
    add(AttributeType::kBool, *flag ? 1 : 0, *flag ? 1 : 0);
  } else if (const auto* time = std::get_if<Timestamp>(&literal)) {
    const uint64_t key = OrderKey(AttributeType::kTimestamp, static_cast<uint64_t>(time->unix_us));
    add(AttributeType::kTimestamp, key, key);
  } else {
    const auto* integer = std::get_if<int64_t>(&literal);
    const auto* number = std::get_if<double>(&literal);
    const std::optional<int64_t> whole = integer != nullptr ? *integer : EqualInt(*number);
    const std::optional<double> decimal = number != nullptr ? *number : EqualDouble(*integer);
    if (whole) add(AttributeType::kInt, KeyOf(*whole), KeyOf(*whole));
    if (!decimal) return;
    // Zero is two doubles, and they are neighbours.
    add(AttributeType::kDouble, KeyOf(*decimal == 0 ? -0.0 : *decimal), KeyOf(*decimal == 0 ? 0.0 : *decimal));
  }
}

// Of a type, the keys from `bound` on, or, negated, those below.
void AddFrom(AttributeType type, uint64_t bound, bool negated, Ranges& ranges) {
  if (!negated) {
    ranges.push_back({type, bound, std::numeric_limits<uint64_t>::max()});
  } else if (bound > 0) {
    ranges.push_back({type, 0, bound - 1});
  }
}

void AddOrder(const Filter::Node& test, Ranges& ranges) {
  const AttributeScalar& literal = test.literals.front();
  const bool negated = Negated(test.op), or_equal = OrEqual(test.op);
  if (const auto* time = std::get_if<Timestamp>(&literal)) {
    const uint64_t key = OrderKey(AttributeType::kTimestamp, static_cast<uint64_t>(time->unix_us));
    return AddFrom(AttributeType::kTimestamp, key + (or_equal ? 0 : 1), negated, ranges);
  }
  if (const auto least = LeastInt(literal, or_equal)) {
    AddFrom(AttributeType::kInt, KeyOf(*least), negated, ranges);
  } else if (negated) {
    ranges.push_back({AttributeType::kInt, 0, std::numeric_limits<uint64_t>::max()});
  }
  const double least = LeastDouble(literal, or_equal);
  AddFrom(AttributeType::kDouble, KeyOf(least == 0 ? -0.0 : least), negated, ranges);
}

// What is in both.
Ranges Intersect(const Ranges& a, const Ranges& b) {
  Ranges both;
  for (const KeyRange& x : a) {
    for (const KeyRange& y : b) {
      const KeyRange range{x.type, std::max(x.least, y.least), std::min(x.most, y.most)};
      if (x.type == y.type && range.least <= range.most) both.push_back(range);
    }
  }
  return both;
}

// Looks up conditions in the columns of a segment.
class Finder {
 public:
  Finder(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary, uint32_t rows)
      : columns_(columns), dictionary_(dictionary), rows_(rows), most_(std::max(rows / kFewShare, kAlwaysFew)) {}

  std::optional<FewRows> Find(const Filter::Node& node) const {
    switch (node.kind) {
      case Filter::Node::Kind::kTest: {
        const auto ranges = RangesOf(node, dictionary_);
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
  std::optional<FewRows> FindRanges(const std::string& name, const Ranges& ranges) const {
    const auto column = columns_.find(name);
    FewRows found;
    if (column == columns_.end() || ranges.empty()) return found;
    const ColumnRows rows{column->second->types.data(), column->second->values.data(), rows_};
    if (!column->second->index.Find(rows, ranges, most_, found.rows)) return std::nullopt;
    return found;
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
      if (child.kind != Filter::Node::Kind::kTest) {
        found = Find(child);
      } else if (auto ranges = RangesOf(child, dictionary_)) {
        for (size_t j = i + 1; j < tests; ++j) {
          const Filter::Node& other = *node.children[j];
          if (other.kind != Filter::Node::Kind::kTest || other.name != child.name) continue;
          const auto more = RangesOf(other, dictionary_);
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
  const uint32_t rows_;
  const size_t most_;
};

}  // namespace

std::optional<std::vector<KeyRange>> RangesOf(const Filter::Node& test, const AttributeDictionary& dictionary) {
  Ranges ranges;
  if (test.of_id || test.literals.empty() || test.literals.size() > kMostRanges) return std::nullopt;
  if (test.op == FilterOperator::kEqual || test.op == FilterOperator::kIn) {
    for (const AttributeScalar& literal : test.literals) AddEqual(literal, dictionary, ranges);
    const auto order = [](const KeyRange& a, const KeyRange& b) {
      return a.type != b.type ? a.type < b.type : a.least < b.least;
    };
    const auto same = [](const KeyRange& a, const KeyRange& b) { return a.type == b.type && a.least == b.least; };
    std::sort(ranges.begin(), ranges.end(), order);
    ranges.erase(std::unique(ranges.begin(), ranges.end(), same), ranges.end());
    return ranges;
  }
  const AttributeScalar& bound = test.literals.front();
  const bool of_number = std::holds_alternative<int64_t>(bound) || std::holds_alternative<double>(bound);
  if (!IsOrder(test.op) || !(of_number || std::holds_alternative<Timestamp>(bound))) return std::nullopt;
  AddOrder(test, ranges);
  return ranges;
}

std::optional<FewRows> LookUp(const Filter::Node& condition, const AttributeColumns::Map& columns,
                              const AttributeDictionary& dictionary, uint32_t rows) {
  return Finder(columns, dictionary, rows).Find(condition);
}

}  // namespace bebr
