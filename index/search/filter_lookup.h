// The few rows that satisfy a filter, by the indexes of the columns.
#ifndef BEBR_INDEX_SEARCH_FILTER_LOOKUP_H_
#define BEBR_INDEX_SEARCH_FILTER_LOOKUP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "index/search/filter.h"
#include "index/search/filter_parser.h"
#include "index/segment/attribute_columns.h"
#include "index/segment/value_index.h"

namespace bebr {

// Rows of a segment, ascending: all that satisfy a condition, and, unless exact, maybe others.
struct FewRows {
  std::vector<uint16_t> rows;
  bool exact = true;
};

// The rows 0..rows - 1 that satisfy a condition, if the indexes of the attributes that it names tell that these are
// few: one in 32, or 64; or the ids that it names. A conjunction is looked up by the test that leaves the fewest. Cost:
// some microseconds, whether rows are found or not; the first look-up of a column builds its index. Unless it
// `may_build`: then columns of many rows without one tell nothing.
std::optional<FewRows> LookUp(const Filter::Node& condition, const AttributeColumns::Map& columns,
                              const AttributeDictionary& dictionary, const Filter::Ids* ids, uint32_t rows,
                              bool may_build);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_FILTER_LOOKUP_H_
