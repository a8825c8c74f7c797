#include "index/search/value_ranges.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <variant>

#include "index/search/number_order.h"

namespace bebr {
namespace {

using Ranges = std::vector<KeyRange>;

constexpr uint64_t kMostKey = std::numeric_limits<uint64_t>::max();

uint64_t KeyOf(int64_t value) { return OrderKey(AttributeType::kInt, static_cast<uint64_t>(value)); }
uint64_t KeyOf(double value) { return OrderKey(AttributeType::kDouble, std::bit_cast<uint64_t>(value)); }
uint64_t KeyOf(Timestamp time) { return OrderKey(AttributeType::kTimestamp, static_cast<uint64_t>(time.unix_us)); }

// The types whose values compare with the literal.
std::vector<AttributeType> TypesOf(const AttributeScalar& literal) {
  if (std::holds_alternative<std::string>(literal)) return {AttributeType::kString};
  if (std::holds_alternative<bool>(literal)) return {AttributeType::kBool};
  if (std::holds_alternative<Timestamp>(literal)) return {AttributeType::kTimestamp};
  return {AttributeType::kInt, AttributeType::kDouble};
}

// What equals the literal.
void AddEqual(const AttributeScalar& literal, const AttributeDictionary& dictionary, Ranges& ranges) {
  if (const auto* text = std::get_if<std::string>(&literal)) {
    if (const auto number = dictionary.Find(*text)) ranges.push_back({AttributeType::kString, *number, *number});
  } else if (const auto* flag = std::get_if<bool>(&literal)) {
    const uint64_t key = *flag ? 1 : 0;
    ranges.push_back({AttributeType::kBool, key, key});
  } else if (const auto* time = std::get_if<Timestamp>(&literal)) {
    ranges.push_back({AttributeType::kTimestamp, KeyOf(*time), KeyOf(*time)});
  } else {
    const auto* integer = std::get_if<int64_t>(&literal);
    const auto* number = std::get_if<double>(&literal);
    const std::optional<int64_t> whole = integer != nullptr ? *integer : EqualInt(*number);
    const std::optional<double> decimal = number != nullptr ? *number : EqualDouble(*integer);
    if (whole) ranges.push_back({AttributeType::kInt, KeyOf(*whole), KeyOf(*whole)});
    if (!decimal) return;
    // Zero is two doubles, and they are neighbours.
    const bool zero = *decimal == 0;
    ranges.push_back({AttributeType::kDouble, KeyOf(zero ? -0.0 : *decimal), KeyOf(zero ? 0.0 : *decimal)});
  }
}

Ranges Equal(const std::vector<AttributeScalar>& literals, const AttributeDictionary& dictionary) {
  Ranges ranges;
  for (const AttributeScalar& literal : literals) AddEqual(literal, dictionary, ranges);
  std::sort(ranges.begin(), ranges.end(), [](const KeyRange& a, const KeyRange& b) {
    return a.type != b.type ? a.type < b.type : a.least < b.least;
  });
  const auto same = [](const KeyRange& a, const KeyRange& b) { return a.type == b.type && a.least == b.least; };
  ranges.erase(std::unique(ranges.begin(), ranges.end(), same), ranges.end());
  return ranges;
}

// All values that compare with the literal but those that equal it.
Ranges NotEqual(const AttributeScalar& literal, const AttributeDictionary& dictionary) {
  const Ranges equal = Equal({literal}, dictionary);
  Ranges others;
  for (const AttributeType type : TypesOf(literal)) {
    const auto at = std::find_if(equal.begin(), equal.end(), [type](const KeyRange& one) { return one.type == type; });
    if (at == equal.end()) {
      others.push_back({type, 0, kMostKey});
      continue;
    }
    if (at->least > 0) others.push_back({type, 0, at->least - 1});
    if (at->most < kMostKey) others.push_back({type, at->most + 1, kMostKey});
  }
  return others;
}

// Of a type, the keys from `bound` on, or, negated, those below.
void AddFrom(AttributeType type, uint64_t bound, bool negated, Ranges& ranges) {
  if (!negated) {
    ranges.push_back({type, bound, kMostKey});
  } else if (bound > 0) {
    ranges.push_back({type, 0, bound - 1});
  }
}

// <, <=, > and >= of what is no text.
Ranges Ordered(const Filter::Node& test) {
  const AttributeScalar& literal = test.literals.front();
  const bool negated = Negated(test.op), or_equal = OrEqual(test.op);
  Ranges ranges;
  if (const auto* flag = std::get_if<bool>(&literal)) {
    AddFrom(AttributeType::kBool, (*flag ? 1 : 0) + (or_equal ? 0 : 1), negated, ranges);
  } else if (const auto* time = std::get_if<Timestamp>(&literal)) {
    AddFrom(AttributeType::kTimestamp, KeyOf(*time) + (or_equal ? 0 : 1), negated, ranges);
  } else {
    if (const auto least = LeastInt(literal, or_equal)) {
      AddFrom(AttributeType::kInt, KeyOf(*least), negated, ranges);
    } else if (negated) {
      ranges.push_back({AttributeType::kInt, 0, kMostKey});
    }
    // Documents hold no NaN, so the negation of "at least" is "below".
    const double least = LeastDouble(literal, or_equal);
    AddFrom(AttributeType::kDouble, KeyOf(least == 0 ? -0.0 : least), negated, ranges);
  }
  return ranges;
}

}  // namespace

std::optional<std::vector<KeyRange>> RangesOf(const Filter::Node& test, const AttributeDictionary& dictionary,
                                              size_t most_literals) {
  if (test.of_id || test.literals.empty() || test.literals.size() > most_literals) return std::nullopt;
  switch (test.op) {
    case FilterOperator::kEqual:
    case FilterOperator::kIn:
      return Equal(test.literals, dictionary);
    case FilterOperator::kNotEqual:
      return NotEqual(test.literals.front(), dictionary);
    default:
      if (!IsOrder(test.op) || std::holds_alternative<std::string>(test.literals.front())) return std::nullopt;
      return Ordered(test);
  }
}

Ranges RangesOfValues(const std::vector<AttributeScalar>& values, const AttributeDictionary& dictionary) {
  return Equal(values, dictionary);
}

std::vector<KeyRange> Intersect(const std::vector<KeyRange>& a, const std::vector<KeyRange>& b) {
  std::vector<KeyRange> both;
  for (const KeyRange& x : a) {
    for (const KeyRange& y : b) {
      const KeyRange range{x.type, std::max(x.least, y.least), std::min(x.most, y.most)};
      if (x.type == y.type && range.least <= range.most) both.push_back(range);
    }
  }
  return both;
}

}  // namespace bebr
