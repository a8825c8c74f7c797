// Which rows of a segment have lists with some values.
#ifndef BEBR_INDEX_SEARCH_LIST_MATCH_H_
#define BEBR_INDEX_SEARCH_LIST_MATCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "index/search/filter.h"
#include "index/search/filter_parser.h"
#include "index/segment/attribute_columns.h"
#include "index/segment/list_index.h"

namespace bebr {

// A ListMatch answers one CONTAINS of a filter for the rows of a column, by the posting lists of its values. Numbers of
// both types are compared by value. Immutable; thread-safe. Cost: a look-up for each value of the test; then as much as
// there are rows with these.
class ListMatch {
 public:
  // Of a node of kContains, kContainsAny or kContainsAll, for the first `rows` rows.
  ListMatch(const Filter::Node& test, const AttributeColumns::Column& column, uint32_t rows);

  // The rows that match, ascending, and, unless exact(), maybe others; nullopt if they may be more than `most`.
  std::optional<std::vector<uint16_t>> Few(size_t most) const;
  bool exact() const { return alternatives_.size() == 1; }
  // Those of `rows` that match.
  RowSet Among(RowSet rows) const;

 private:
  // Values of which a list has one.
  using Alternatives = std::vector<uint32_t>;

  const ListPostings postings_;
  std::vector<Alternatives> alternatives_;  // a list has to have one of each
};

// The values that a node of kListHasOther does not name. Immutable; thread-safe. Cost: a look-up for each value of a
// list.
class OtherValues {
 public:
  explicit OtherValues(const Filter::Node& test);
  // Whether a list, as the dictionary holds it, has one.
  bool AnyIn(std::string_view packed) const;

 private:
  absl::flat_hash_set<std::string> named_;  // packed
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_LIST_MATCH_H_
