// Whether lists have values.
#ifndef BEBR_INDEX_SEARCH_LIST_MATCH_H_
#define BEBR_INDEX_SEARCH_LIST_MATCH_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "index/search/filter_parser.h"

namespace bebr {

// A ListMatch answers one CONTAINS of a filter for lists as the dictionary holds them. Numbers of both types are
// compared by value. Immutable; thread-safe. Cost: a look-up for each value of a list.
class ListMatch {
 public:
  // Of a node of kContains, kContainsAny, kContainsAll or kHasOther.
  explicit ListMatch(const Filter::Node& test);
  bool Matches(std::string_view packed) const;
  // Whether it has a value that the node does not name.
  bool HasOther(std::string_view packed) const;

 private:
  const bool all_;
  absl::flat_hash_map<std::string, uint32_t> wanted_;  // packed values; those that are equal have one number
  uint32_t count_ = 0;                                 // of the different numbers
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_LIST_MATCH_H_
