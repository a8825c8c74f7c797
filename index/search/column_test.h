// One test of a filter on the rows of a segment: a pass over a column of attributes, or over the ids.
#ifndef BEBR_INDEX_SEARCH_COLUMN_TEST_H_
#define BEBR_INDEX_SEARCH_COLUMN_TEST_H_

#include <cstdint>
#include <vector>

#include "index/search/filter.h"
#include "index/search/filter_parser.h"
#include "index/segment/attribute_columns.h"
#include "index/segment/segment.h"
#include "index/segment/value_index.h"

namespace bebr {

// The column that a test is about; borrowed.
struct TestedColumn {
  const AttributeColumns::Column& column;
  const AttributeDictionary& dictionary;  // of its strings
  const Filter::TextAnswers& texts;       // of the filter
  uint32_t row_count = 0;                 // rows beyond are not read: the writer may be at work there
};

// The rows of `rows` that satisfy a test of an attribute. Cost: a pass over the words of `rows` with a bit set, for
// each type that the test may be true of; of lists as ListMatch.
RowSet TestColumn(const Filter::Node& node, const TestedColumn& tested, const RowSet& rows);
// Those whose value is in one of the ranges.
RowSet TestRanges(const std::vector<KeyRange>& ranges, const TestedColumn& tested, const RowSet& rows);
// Puts the rows that satisfy all conditions into `rows`: kTileWords words of it from `word` on, or fewer at its end.
// So many rows of a column stay in the nearest cache, where the conditions of other filters find them.
inline constexpr uint32_t kTileWords = 32;
void TestTile(const std::vector<ColumnRanges>& conditions, uint32_t row_count, uint32_t word, RowSet& rows);
// As TestColumn, of a test of the document's id. A pass over the ids only for an order of them.
RowSet TestIds(const Filter::Node& node, const Filter::Ids& ids, uint32_t row_count, const RowSet& rows);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_COLUMN_TEST_H_
