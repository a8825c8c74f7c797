#include "index/search/list_match.h"

#include <algorithm>
#include <limits>
#include <variant>

#include "absl/strings/string_view.h"
#include "index/search/number_order.h"
#include "index/segment/attribute_list.h"

namespace bebr {
namespace {

// The number of the other type that equals a literal, if it is a number and there is one.
std::optional<AttributeScalar> Twin(const AttributeScalar& literal) {
  if (const auto* integer = std::get_if<int64_t>(&literal)) {
    if (const auto number = EqualDouble(*integer)) return AttributeScalar(*number);
  } else if (const auto* number = std::get_if<double>(&literal)) {
    if (const auto equal = EqualInt(*number)) return AttributeScalar(*equal);
  }
  return std::nullopt;
}

}  // namespace

ListMatch::ListMatch(const Filter::Node& test, const AttributeColumns::Column& column, uint32_t rows)
    : postings_(column.lists.Of({column.types.data(), column.values.data(), rows})),
      alternatives_(test.op == FilterOperator::kContainsAll ? test.literals.size() : 1) {
  for (size_t i = 0; i < test.literals.size(); ++i) {
    Alternatives& alternatives = alternatives_[std::min(i, alternatives_.size() - 1)];
    const auto add = [&](const AttributeScalar& value) {
      if (const auto number = postings_.Find(PackScalar(value))) alternatives.push_back(*number);
    };
    add(test.literals[i]);
    if (const auto twin = Twin(test.literals[i])) add(*twin);
  }
  for (Alternatives& alternatives : alternatives_) {
    std::sort(alternatives.begin(), alternatives.end());
    alternatives.erase(std::unique(alternatives.begin(), alternatives.end()), alternatives.end());
  }
  std::sort(alternatives_.begin(), alternatives_.end());
  alternatives_.erase(std::unique(alternatives_.begin(), alternatives_.end()), alternatives_.end());
}

std::optional<std::vector<uint16_t>> ListMatch::Few(size_t most) const {
  const Alternatives* fewest = nullptr;
  size_t least = std::numeric_limits<size_t>::max();
  for (const Alternatives& alternatives : alternatives_) {
    size_t count = 0;
    for (const uint32_t value : alternatives) count += postings_.Count(value);
    if (count < least) fewest = &alternatives, least = count;
  }
  if (least > most) return std::nullopt;
  std::vector<uint16_t> rows;
  for (const uint32_t value : *fewest)
    postings_.ForEachRow(value, [&](uint32_t row) { rows.push_back(static_cast<uint16_t>(row)); });
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

RowSet ListMatch::Among(RowSet rows) const {
  for (const Alternatives& alternatives : alternatives_) {
    RowSet some(rows.size(), 0);
    for (const uint32_t value : alternatives)
      postings_.ForEachRow(value, [&](uint32_t row) { some[row / 64] |= uint64_t{1} << (row % 64); });
    for (size_t i = 0; i < rows.size(); ++i) rows[i] &= some[i];
  }
  return rows;
}

OtherValues::OtherValues(const Filter::Node& test) {
  for (const AttributeScalar& literal : test.literals) {
    named_.insert(PackScalar(literal));
    if (const auto twin = Twin(literal)) named_.insert(PackScalar(*twin));
  }
}

bool OtherValues::AnyIn(std::string_view packed) const {
  bool other = false;
  ForEachInList(packed, [&](std::string_view value) {
    other = other || !named_.contains(absl::string_view(value.data(), value.size()));
  });
  return other;
}

}  // namespace bebr
