#include "index/search/list_match.h"

#include <algorithm>
#include <optional>
#include <variant>

#include "absl/container/inlined_vector.h"
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

ListMatch::ListMatch(const Filter::Node& test) : all_(test.op == FilterOperator::kContainsAll) {
  for (const AttributeScalar& literal : test.literals) {
    if (!wanted_.try_emplace(PackScalar(literal), count_).second) continue;  // its twin is there too
    if (const auto twin = Twin(literal)) wanted_.try_emplace(PackScalar(*twin), count_);
    ++count_;
  }
}

bool ListMatch::HasOther(std::string_view packed) const {
  bool other = false;
  ForEachInList(packed, [&](std::string_view value) {
    other = other || !wanted_.contains(absl::string_view(value.data(), value.size()));
  });
  return other;
}

bool ListMatch::Matches(std::string_view packed) const {
  absl::InlinedVector<uint32_t, 16> found;
  ForEachInList(packed, [&](std::string_view value) {
    if (!all_ && !found.empty()) return;
    if (const auto it = wanted_.find(absl::string_view(value.data(), value.size())); it != wanted_.end())
      found.push_back(it->second);
  });
  if (!all_) return !found.empty();
  std::sort(found.begin(), found.end());
  return std::unique(found.begin(), found.end()) - found.begin() == static_cast<ptrdiff_t>(count_);
}

}  // namespace bebr
