// From the text of a filter to its syntax tree.
#ifndef BEBR_INDEX_SEARCH_FILTER_PARSER_H_
#define BEBR_INDEX_SEARCH_FILTER_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "index/search/filter.h"
#include "index/types/document.h"

namespace bebr {

// How deep parentheses and NOTs may nest: parsing, evaluating and destroying a filter recurse as deep.
inline constexpr size_t kMaxFilterDepth = 64;

// Each test is a pass over the rows; lists belong into one IN.
inline constexpr size_t kMaxFilterTests = 1000;
// An order of texts, or STARTS WITH, is a comparison with every distinct text of the collection besides.
inline constexpr size_t kMaxTextComparisons = 64;

// What a test compares an attribute by.
enum class FilterOperator : uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kExists,
  kStartsWith,
  kContains,     // of lists
  kContainsAny,  // one of several
  kContainsAll,
  // Not in the language:
  kHasOther,     // has a value in memory, and no list, that is none of these
  kListHasOther  // is a list with a value that is none of these
};

// <, <=, > and >= are "at least a bound", or its negation: < negates >=, and <= negates >.
inline bool Negated(FilterOperator op) { return op == FilterOperator::kLess || op == FilterOperator::kLessEqual; }
inline bool OrEqual(FilterOperator op) { return op == FilterOperator::kLess || op == FilterOperator::kGreaterEqual; }
inline bool IsContains(FilterOperator op) {
  return op == FilterOperator::kContains || op == FilterOperator::kContainsAny || op == FilterOperator::kContainsAll;
}
inline bool IsOrder(FilterOperator op) {
  return Negated(op) || op == FilterOperator::kGreater || op == FilterOperator::kGreaterEqual;
}

// Made for groups of hits.
inline bool OfGroups(FilterOperator op) {
  return op == FilterOperator::kHasOther || op == FilterOperator::kListHasOther;
}

// A node of a filter's syntax tree: a combination of other nodes, or a test of one attribute. Chains of AND and of OR
// are one node with many children, so the depth of the tree is that of the parentheses and NOTs alone.
struct Filter::Node {
  enum class Kind : uint8_t { kAnd, kOr, kNot, kTest };

  Kind kind = Kind::kTest;
  std::vector<std::shared_ptr<const Node>> children;  // kAnd, kOr: two or more; kNot: one

  // Of a kTest.
  std::string name;
  bool of_id = false;  // tests the document's id instead; literals are text
  FilterOperator op = FilterOperator::kExists;
  std::vector<AttributeScalar>
      literals;  // kIn, kContainsAny, kContainsAll: one or more; kHasOther, kListHasOther: any; kExists: none; else one
};

// Whether a test names the ids that it is true of, or false.
inline bool IsLocated(const Filter::Node& test) {
  return test.of_id &&
         (test.op == FilterOperator::kEqual || test.op == FilterOperator::kNotEqual || test.op == FilterOperator::kIn);
}

// The syntax tree of `text`. Errors: INVALID_ARGUMENT with the position, a byte of `text` counted from 1, what was
// expected there and what was found; and where there are more tests than the limits above. Cost: linear in the length,
// which is at most kMaxBuiltFilterBytes.
absl::StatusOr<std::unique_ptr<const Filter::Node>> ParseFilter(std::string_view text);

// The tests in a tree; and those of attributes alone.
std::vector<const Filter::Node*> AllTestsOf(const Filter::Node& root);
std::vector<const Filter::Node*> AttributeTestsOf(const Filter::Node& root);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_FILTER_PARSER_H_
