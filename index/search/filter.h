// Conditions on attributes: "section = "libs" AND installed_kib < 1000".
#ifndef BEBR_INDEX_SEARCH_FILTER_H_
#define BEBR_INDEX_SEARCH_FILTER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/segment/attribute_columns.h"
#include "index/segment/segment.h"
#include "index/types/filter_facts.h"

namespace bebr {

// One bit per row of a segment, bit i % 64 of word i / 64.
using RowSet = std::vector<uint64_t>;

// The rows of a segment that a filter leaves: their numbers, ascending, where they are few, or else a bit for each row.
struct SelectedRows {
  bool few = false;
  std::vector<uint16_t> numbers;
  RowSet set;
};

// Ranges of values of a column, one of which a row's value has to be in. Null: of an attribute that no row has.
struct ColumnRanges {
  const AttributeColumns::Column* column = nullptr;
  std::vector<KeyRange> ranges;
};

// A Filter is a condition on a document's attributes, parsed once and evaluated on the columns of each segment.
//
//   section = "libs" AND installed_kib < 1000
//   (priority IN ("optional", "extra") OR NOT essential = true) AND title EXISTS
//
// Grammar. Comparisons: name =, !=, <, <=, >, >= literal; name IN (literal, ...); name BETWEEN literal AND literal,
// bounds included; name STARTS WITH "text"; name EXISTS; combined by AND, OR, NOT (binding NOT, AND, OR) and
// parentheses; keywords in any case. A name is [a-zA-Z_][a-zA-Z0-9_.-]* or any text in back quotes; id, without back
// quotes, is the document's id. Of lists: name CONTAINS literal; name CONTAINS ANY (literal, ...); name CONTAINS ALL
// (literal, ...). Literals: "text" or 'text', integers (64 bits), decimals (with a point or an exponent), true, false,
// TIMESTAMP "2026-01-31T12:00:00Z". In quotes of all three kinds \ stands before a quote or another \. Meaning. Numbers
// of both types are compared by value, exactly; strings by bytes; timestamps as time; false is less than true. A
// comparison with an attribute that a document lacks, or has with another type, or stored only, is false, also for !=;
// NOT of it is true.
//
// Immutable; thread-safe. Errors: INVALID_ARGUMENT with the position (a byte, counted from 1), what was expected there
// and what was found. Cost of Evaluate: a pass over the rows for each comparison that can still change the answer; some
// microseconds where indexes tell that few rows satisfy =, IN, an order of numbers or CONTAINS (filter_lookup.h), or
// the ids are known.
class Filter {
 public:
  static absl::StatusOr<std::unique_ptr<const Filter>> Parse(std::string_view text);
  ~Filter();

  // Of an attribute's values as groups: what satisfies `base` (null: everything) and has this value, or, with `lists`,
  // is a list that has it; and what satisfies `base` and has a value, or, with `lists`, is a list with one, that is
  // none of `known`. Numbers of both types are one value if they are equal. `base` is shared, not copied.
  static std::shared_ptr<const Filter> WithValue(const Filter* base, const std::string& name,
                                                 const AttributeScalar& value, bool lists);
  static std::shared_ptr<const Filter> WithOtherValue(const Filter* base, const std::string& name,
                                                      std::vector<AttributeScalar> known, bool lists);

  struct Node;  // of the syntax tree

  // For each <, <=, > and >= with a string: a bit for every string of a dictionary, set where it is not below (or, for
  // <= and >, is above) the condition's; for each STARTS WITH, set where it does.
  using TextAnswers = absl::flat_hash_map<const Node*, std::vector<uint64_t>>;
  // Compares with every string of the dictionary: to be done once for all segments that share it. `stopped` is
  // asked for every comparison and every thousand strings; once it is true the rest is left out, and what there is may
  // not be used.
  TextAnswers CompareTexts(
      const AttributeDictionary& dictionary, absl::FunctionRef<bool()> stopped = [] { return false; }) const;
  // The same one by one, for filters that share parts of their trees: the comparisons with strings, and the answer to
  // one of them.
  std::vector<const Node*> TextTests() const;
  // Whether there are few comparisons and literals, and none of TextTests: what costs some microseconds a segment where
  // indexes tell that few rows satisfy it.
  bool IsLight() const;
  static std::vector<uint64_t> CompareText(const Node& test, const AttributeDictionary& dictionary,
                                           absl::FunctionRef<bool()> stopped);

  // For each =, != and IN of ids: of a view's documents those with one of its literals, as rows of their segments,
  // ascending. LocateIds (located_ids.h) finds them, once for all segments.
  using LocatedIds = absl::flat_hash_map<const Node*, absl::flat_hash_map<const Segment*, std::vector<uint16_t>>>;
  std::vector<const Node*> LocatedTests() const;
  // What the ids of a segment's rows are told from.
  struct Ids {
    const Segment& segment;
    const LocatedIds& located;  // of the filter, in the view of the rows
  };

  // The rows 0..rows-1 that satisfy the condition; of those that the view has no more, any. `dictionary` is that of the
  // columns' strings, and `texts` its answers, computed when the rows were there; without `ids` no row has one.
  RowSet Evaluate(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary, const TextAnswers& texts,
                  uint32_t rows, const Ids* ids = nullptr) const;
  // The same, if the columns' indexes tell that they are few: as numbers. Unless it `may_build` indexes, those that are
  // not there yet tell nothing.
  std::optional<SelectedRows> SelectFew(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary,
                                        const TextAnswers& texts, uint32_t rows, const Ids* ids = nullptr,
                                        bool may_build = true) const;
  // The condition as ranges of columns, all of which a row has to satisfy, where it is no more than that: what is
  // evaluated for many filters while a column's values are in the nearest cache (TestRanges).
  std::optional<std::vector<ColumnRanges>> AsRanges(const AttributeColumns::Map& columns,
                                                    const AttributeDictionary& dictionary) const;
  // The same, as numbers if they are few.
  SelectedRows Select(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary,
                      const TextAnswers& texts, uint32_t rows, const Ids* ids = nullptr) const;
  // A bit for each row, without a look at the indexes.
  RowSet SelectAll(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary,
                   const TextAnswers& texts, uint32_t rows, const Ids* ids = nullptr) const;

  // Sentences about comparisons that are false whatever the documents say, mostly by mistake.
  struct Warnings {
    // Which attributes no row of the segments has, or none with a value of the type that it is compared with.
    std::vector<std::string> unknown;
    // Which of the others some rows have with a value that is stored only.
    std::vector<std::string> stored;
  };
  Warnings Unknown(absl::Span<const SegmentView* const> segments) const;
  // What the rows are to each comparison, in the filter's order, for Unknown: of several engines' rows, or-ed. Empty
  // without segments, and of a filter of ids alone.
  FilterFacts Facts(absl::Span<const SegmentView* const> segments) const;
  Warnings Unknown(const FilterFacts& facts) const;
  // Of the facts of a filter that WithOtherValue made, those of its `base`.
  FilterFacts OfBase(const FilterFacts& facts) const;

 private:
  explicit Filter(std::shared_ptr<const Node> root);
  // What satisfies `base`, if it is there, and `condition`.
  static std::shared_ptr<const Filter> Both(const Filter* base, std::shared_ptr<const Node> condition);
  const std::shared_ptr<const Node> root_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_FILTER_H_
