// What a test of an attribute asks for, as ranges of values: the one place that knows how literals compare with values.
#ifndef BEBR_INDEX_SEARCH_VALUE_RANGES_H_
#define BEBR_INDEX_SEARCH_VALUE_RANGES_H_

#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

#include "index/search/filter_parser.h"
#include "index/segment/attribute_columns.h"
#include "index/segment/value_index.h"

namespace bebr {

// The values that satisfy a test of =, !=, IN, or an order of anything but text, as ranges that do not overlap, by type
// and key. nullopt for other tests, for those of the id, and for those of more than `most_literals`. Numbers compare by
// value, whichever of the two types they have. Cost: n log n in the literals.
std::optional<std::vector<KeyRange>> RangesOf(const Filter::Node& test, const AttributeDictionary& dictionary,
                                              size_t most_literals = std::numeric_limits<size_t>::max());

// The same of values, one of which is to be equal.
std::vector<KeyRange> RangesOfValues(const std::vector<AttributeScalar>& values, const AttributeDictionary& dictionary);

// What is in both. Cost: the product of their numbers.
std::vector<KeyRange> Intersect(const std::vector<KeyRange>& a, const std::vector<KeyRange>& b);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_VALUE_RANGES_H_
