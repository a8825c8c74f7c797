#include "index/search/filter.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/search/filter_parser.h"

namespace bebr {
namespace {

constexpr uint32_t kWordRows = 64;
constexpr double kTwoTo63 = 9223372036854775808.0;

// ---- Numbers compared by value ----

// The int64 that equals `number`, if there is one.
std::optional<int64_t> EqualInt(double number) {
  if (!(number >= -kTwoTo63 && number < kTwoTo63) || std::trunc(number) != number) return std::nullopt;
  return static_cast<int64_t>(number);
}

// The double that equals `integer`, if there is one.
std::optional<double> EqualDouble(int64_t integer) {
  const double nearest = static_cast<double>(integer);
  if (EqualInt(nearest) != integer) return std::nullopt;
  return nearest;
}

double NextDouble(double number) { return std::nextafter(number, std::numeric_limits<double>::infinity()); }

// The least int64 that is above the literal, or, with `or_equal`, at least the literal; none if all are below.
std::optional<int64_t> LeastInt(const AttributeValue& literal, bool or_equal) {
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  if (const auto* integer = std::get_if<int64_t>(&literal)) {
    if (or_equal) return *integer;
    if (*integer == std::numeric_limits<int64_t>::max()) return std::nullopt;
    return *integer + 1;
  }
  const double number = std::get<double>(literal);
  // Above 2^53 a double and its floor are the same, so the sum below is taken in integers.
  const double bound = or_equal ? std::ceil(number) : std::floor(number);
  if (bound >= kTwoTo63) return std::nullopt;
  if (bound < -kTwoTo63) return kLeast;
  return static_cast<int64_t>(bound) + (or_equal ? 0 : 1);
}

// The least double that is above the literal, or, with `or_equal`, at least the literal.
double LeastDouble(const AttributeValue& literal, bool or_equal) {
  if (const auto* number = std::get_if<double>(&literal)) return or_equal ? *number : NextDouble(*number);
  const int64_t integer = std::get<int64_t>(literal);
  const double nearest = static_cast<double>(integer);
  if (EqualInt(nearest) == integer) return or_equal ? nearest : NextDouble(nearest);
  const bool nearest_is_above = nearest >= kTwoTo63 || static_cast<int64_t>(nearest) > integer;
  return nearest_is_above ? nearest : NextDouble(nearest);
}

// ---- Tests of one column, 64 rows at a time ----

// The 64 flags, each 0 or 1, as bits.
uint64_t Pack(const uint8_t (&flags)[kWordRows]) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t bits = 0;
  for (uint32_t i = 0; i < kWordRows; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, flags + i, sizeof(eight));
    // Byte b of `eight` comes to bit 56 + b: the factor moves it by 56 - 7 b, and no two sums carry.
    bits |= ((eight * 0x0102040810204080u) >> 56) << i;
  }
  return bits;
}

// Calls test(first, count, flags) for each word of `rows` with a bit set, to fill flags[0..count-1] for the rows from
// `first` on, and returns the rows of `rows` whose flag is 1. No row beyond `row_count` is read: the writer may be at
// work there.
template <typename Test>
RowSet Scan(const RowSet& rows, uint32_t row_count, const Test& test) {
  RowSet result(rows.size(), 0);
  for (size_t word = 0; word < rows.size(); ++word) {
    if (rows[word] == 0) continue;
    const uint32_t first = static_cast<uint32_t>(word) * kWordRows;
    uint8_t flags[kWordRows];
    if (row_count - first >= kWordRows) {
      test(first, kWordRows, flags);  // a constant count: the loops inside are unrolled
    } else {
      std::memset(flags, 0, sizeof(flags));
      test(first, row_count - first, flags);
    }
    result[word] = Pack(flags) & rows[word];
  }
  return result;
}

bool Any(const RowSet& rows) {
  uint64_t any = 0;
  for (const uint64_t word : rows) any |= word;
  return any != 0;
}

// <, <=, > and >= are "at least a bound", or its negation: < negates >=, and <= negates >.
bool Negated(FilterOperator op) { return op == FilterOperator::kLess || op == FilterOperator::kLessEqual; }
bool OrEqual(FilterOperator op) { return op == FilterOperator::kLess || op == FilterOperator::kGreaterEqual; }
bool IsOrder(FilterOperator op) {
  return Negated(op) || op == FilterOperator::kGreater || op == FilterOperator::kGreaterEqual;
}

// The rows of `rows` whose document's id satisfies `node`.
RowSet EvaluateId(const Filter::Node& node, const Segment& ids, uint32_t row_count, const RowSet& rows) {
  const auto matching = [&](const auto& match) {
    return Scan(rows, row_count, [&](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i) flags[i] = match(ids.id(first + i));
    });
  };
  if (node.op == FilterOperator::kExists) return rows;
  const auto text = [](const AttributeValue& literal) { return std::string_view(std::get<std::string>(literal)); };
  const std::string_view first = text(node.literals.front());
  switch (node.op) {
    case FilterOperator::kNotEqual:
      return matching([first](std::string_view id) { return id != first; });
    case FilterOperator::kStartsWith:
      return matching([first](std::string_view id) { return id.starts_with(first); });
    case FilterOperator::kEqual:
    case FilterOperator::kIn: {
      absl::flat_hash_set<std::string_view> wanted;
      for (const AttributeValue& literal : node.literals) wanted.insert(text(literal));
      if (wanted.size() == 1) return matching([first](std::string_view id) { return id == first; });
      return matching([&wanted](std::string_view id) { return wanted.contains(id); });
    }
    default:
      return matching([first, negated = Negated(node.op), or_equal = OrEqual(node.op)](std::string_view id) {
        return (or_equal ? id >= first : id > first) != negated;
      });
  }
}

// The tests of one filter condition on one column.
class ColumnTest {
 public:
  ColumnTest(const AttributeColumns::Column& column, const AttributeDictionary& dictionary,
             const Filter::TextAnswers& texts, uint32_t row_count)
      : types_(column.types.data()),
        values_(column.values.data()),
        dictionary_(dictionary),
        texts_(texts),
        row_count_(row_count) {}

  // The rows of `rows` that satisfy `node`.
  RowSet Evaluate(const Filter::Node& node, const RowSet& rows) const {
    switch (node.op) {
      case FilterOperator::kExists:
        return Present(rows);
      case FilterOperator::kEqual:
      case FilterOperator::kIn:
        return AnyOf(node.literals, rows);
      case FilterOperator::kNotEqual:
        return NoneOf(node.literals, rows);
      case FilterOperator::kStartsWith:
        return OrderedText(texts_.at(&node), false, rows);
      default:
        return Ordered(node, rows);
    }
  }

 private:
  // The values of one type that a condition names, in the form that the column holds.
  using Values = std::vector<uint64_t>;
  static constexpr AttributeType kTypes[] = {AttributeType::kString, AttributeType::kInt, AttributeType::kDouble,
                                             AttributeType::kBool};

  RowSet Present(const RowSet& rows) const {
    return Scan(rows, row_count_, [this](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i) flags[i] = types_[first + i] != AttributeType::kAbsent;
    });
  }

  // The rows of this type whose value satisfies match, negated or not.
  template <typename Match>
  RowSet Matching(AttributeType type, bool negated, const RowSet& rows, const Match& match) const {
    return Scan(rows, row_count_, [&](uint32_t first, uint32_t count, uint8_t* flags) {
      // Locals: the compiler must know that writing flags changes neither the pointers nor the columns.
      const AttributeType* __restrict types = types_ + first;
      const uint64_t* __restrict values = values_ + first;
      // Most columns hold one type: the passes for the others look at the types alone.
      if (std::memchr(types, static_cast<int>(type), count) == nullptr) {
        std::memset(flags, 0, count);
        return;
      }
      for (uint32_t i = 0; i < count; ++i) flags[i] = (types[i] == type) & (match(values[i]) != negated);
    });
  }

  RowSet InSet(AttributeType type, const Values& set, bool negated, const RowSet& rows) const {
    if (set.empty()) return Matching(type, negated, rows, [](uint64_t) { return false; });
    if (set.size() == 1) return InFew<1>(type, set, negated, rows);
    if (set.size() <= 4) return InFew<4>(type, set, negated, rows);
    if (set.size() <= 8) return InFew<8>(type, set, negated, rows);
    const absl::flat_hash_set<uint64_t> many(set.begin(), set.end());
    return Matching(type, negated, rows, [&many](uint64_t value) { return many.contains(value); });
  }

  // For at most kCount values: a comparison with each costs less than a look-up while they are few.
  template <size_t kCount>
  RowSet InFew(AttributeType type, const Values& set, bool negated, const RowSet& rows) const {
    std::array<uint64_t, kCount> wanted;
    wanted.fill(set.front());
    std::copy(set.begin(), set.end(), wanted.begin());
    return Matching(type, negated, rows, [wanted](uint64_t value) {
      bool found = false;
      for (const uint64_t one : wanted) found |= value == one;
      return found;
    });
  }

  // What equals a literal in a column of this type. A number may equal values of both number types, and zero two
  // doubles.
  Values ValuesOf(AttributeType type, const std::vector<AttributeValue>& literals) const {
    Values values;
    for (const AttributeValue& literal : literals) AddEqual(type, literal, values);
    return values;
  }

  void AddEqual(AttributeType type, const AttributeValue& literal, Values& values) const {
    const auto* text = std::get_if<std::string>(&literal);
    const auto* integer = std::get_if<int64_t>(&literal);
    const auto* number = std::get_if<double>(&literal);
    const auto* flag = std::get_if<bool>(&literal);
    if (type == AttributeType::kString && text != nullptr) {
      if (const std::optional<uint32_t> found = dictionary_.Find(*text)) values.push_back(*found);
    } else if (type == AttributeType::kBool && flag != nullptr) {
      values.push_back(*flag ? 1 : 0);
    } else if (type == AttributeType::kInt && (integer != nullptr || number != nullptr)) {
      const std::optional<int64_t> equal = integer != nullptr ? *integer : EqualInt(*number);
      if (equal) values.push_back(static_cast<uint64_t>(*equal));
    } else if (type == AttributeType::kDouble && (integer != nullptr || number != nullptr)) {
      const std::optional<double> equal = number != nullptr ? *number : EqualDouble(*integer);
      if (!equal) return;
      values.push_back(std::bit_cast<uint64_t>(*equal));
      if (*equal == 0) values.push_back(std::bit_cast<uint64_t>(-*equal));
    }
  }

  RowSet AnyOf(const std::vector<AttributeValue>& literals, const RowSet& rows) const {
    RowSet result(rows.size(), 0);
    for (const AttributeType type : kTypes) {
      const Values set = ValuesOf(type, literals);
      if (!set.empty()) Unite(InSet(type, set, false, rows), result);
    }
    return result;
  }

  RowSet NoneOf(const std::vector<AttributeValue>& literals, const RowSet& rows) const {
    RowSet result(rows.size(), 0);
    for (const AttributeType type : kTypes) {
      if (!Comparable(type, literals.front())) continue;
      Unite(InSet(type, ValuesOf(type, literals), true, rows), result);
    }
    return result;
  }

  static bool Comparable(AttributeType type, const AttributeValue& literal) {
    if (std::holds_alternative<std::string>(literal)) return type == AttributeType::kString;
    if (std::holds_alternative<bool>(literal)) return type == AttributeType::kBool;
    return type == AttributeType::kInt || type == AttributeType::kDouble;
  }

  // <, <=, > and >=.
  RowSet Ordered(const Filter::Node& node, const RowSet& rows) const {
    const AttributeValue& literal = node.literals.front();
    const bool negated = Negated(node.op), or_equal = OrEqual(node.op);
    if (std::holds_alternative<std::string>(literal)) return OrderedText(texts_.at(&node), negated, rows);
    if (const auto* flag = std::get_if<bool>(&literal)) {
      const uint64_t bound = (*flag ? 1 : 0) + (or_equal ? 0 : 1);
      return Matching(AttributeType::kBool, negated, rows, [bound](uint64_t value) { return value >= bound; });
    }
    RowSet result;
    if (const std::optional<int64_t> bound = LeastInt(literal, or_equal)) {
      result = Matching(AttributeType::kInt, negated, rows,
                        [bound = *bound](uint64_t value) { return static_cast<int64_t>(value) >= bound; });
    } else {
      result = Matching(AttributeType::kInt, negated, rows, [](uint64_t) { return false; });
    }
    // Documents hold no NaN, so the negation of "at least" is "below".
    Unite(Matching(AttributeType::kDouble, negated, rows,
                   [bound = LeastDouble(literal, or_equal)](uint64_t value) {
                     return std::bit_cast<double>(value) >= bound;
                   }),
          result);
    return result;
  }

  RowSet OrderedText(const std::vector<uint64_t>& at_least, bool negated, const RowSet& rows) const {
    // The value is a number of the dictionary in rows of strings only.
    return Scan(rows, row_count_, [&](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i) {
        const uint64_t number = values_[first + i];
        const bool is_text = types_[first + i] == AttributeType::kString && number / 64 < at_least.size();
        flags[i] = is_text && ((at_least[number / 64] >> (number % 64) & 1) != 0) != negated;
      }
    });
  }

  static void Unite(const RowSet& from, RowSet& into) {
    for (size_t i = 0; i < into.size(); ++i) into[i] |= from[i];
  }

  const AttributeType* const types_;
  const uint64_t* const values_;
  const AttributeDictionary& dictionary_;
  const Filter::TextAnswers& texts_;
  const uint32_t row_count_;
};

// ---- The tree ----

struct Table {
  const AttributeColumns::Map& columns;
  const AttributeDictionary& dictionary;
  const Filter::TextAnswers& texts;
  uint32_t row_count;
  const Segment* ids;  // may be null
};

// The rows of `rows` that satisfy `node`: rows that are decided already are not looked at again.
RowSet EvaluateNode(const Filter::Node& node, const Table& table, RowSet rows) {
  if (!Any(rows)) return rows;
  switch (node.kind) {
    case Filter::Node::Kind::kTest: {
      if (node.of_id) {
        if (table.ids == nullptr) return RowSet(rows.size(), 0);
        return EvaluateId(node, *table.ids, table.row_count, rows);
      }
      const auto found = table.columns.find(node.name);
      if (found == table.columns.end()) return RowSet(rows.size(), 0);
      return ColumnTest(*found->second, table.dictionary, table.texts, table.row_count).Evaluate(node, rows);
    }
    case Filter::Node::Kind::kAnd:
      for (const auto& child : node.children) rows = EvaluateNode(*child, table, std::move(rows));
      return rows;
    case Filter::Node::Kind::kOr: {
      RowSet undecided = rows;
      for (const auto& child : node.children) {
        const RowSet satisfied = EvaluateNode(*child, table, undecided);
        for (size_t i = 0; i < undecided.size(); ++i) undecided[i] &= ~satisfied[i];
      }
      for (size_t i = 0; i < rows.size(); ++i) rows[i] &= ~undecided[i];
      return rows;
    }
    case Filter::Node::Kind::kNot: {
      const RowSet satisfied = EvaluateNode(*node.children.front(), table, rows);
      for (size_t i = 0; i < rows.size(); ++i) rows[i] &= ~satisfied[i];
      return rows;
    }
  }
  return rows;
}

std::vector<const Filter::Node*> AllTestsOf(const Filter::Node& root) {
  std::vector<const Filter::Node*> tests, nodes = {&root};
  while (!nodes.empty()) {
    const Filter::Node* node = nodes.back();
    nodes.pop_back();
    for (const auto& child : node->children) nodes.push_back(child.get());
    if (node->kind == Filter::Node::Kind::kTest) tests.push_back(node);
  }
  return tests;
}

// The tests of attributes in a tree.
std::vector<const Filter::Node*> TestsOf(const Filter::Node& root) {
  std::vector<const Filter::Node*> tests = AllTestsOf(root);
  tests.erase(std::remove_if(tests.begin(), tests.end(), [](const Filter::Node* test) { return test->of_id; }),
              tests.end());
  return tests;
}

// Whether a test is compared with every distinct text.
bool ComparesTexts(const Filter::Node& test) {
  if (test.op == FilterOperator::kStartsWith) return true;
  return IsOrder(test.op) && std::holds_alternative<std::string>(test.literals.front());
}

absl::Status CheckTests(const Filter::Node& root) {
  const std::vector<const Filter::Node*> tests = AllTestsOf(root);
  if (tests.size() > kMaxFilterTests) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the filter has %d comparisons; the limit is %d: compare one attribute with many values by IN",
                        tests.size(), kMaxFilterTests));
  }
  const auto texts = static_cast<size_t>(
      std::count_if(tests.begin(), tests.end(), [](const Filter::Node* test) { return ComparesTexts(*test); }));
  if (texts <= kMaxTextComparisons) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("the filter compares texts by <, <=, >, >=, BETWEEN or STARTS WITH %d times; the limit is %d",
                      texts, kMaxTextComparisons));
}

bool HasType(const AttributeColumns::Column& column, uint32_t rows, const std::vector<AttributeValue>& literals) {
  const auto has = [&](AttributeType type) {
    return std::memchr(column.types.data(), static_cast<int>(type), rows) != nullptr;
  };
  if (literals.empty()) {
    return has(AttributeType::kString) || has(AttributeType::kInt) || has(AttributeType::kDouble) ||
           has(AttributeType::kBool);
  }
  return std::any_of(literals.begin(), literals.end(), [&](const AttributeValue& literal) {
    if (std::holds_alternative<std::string>(literal)) return has(AttributeType::kString);
    if (std::holds_alternative<bool>(literal)) return has(AttributeType::kBool);
    return has(AttributeType::kInt) || has(AttributeType::kDouble);
  });
}

std::string_view TypeName(const AttributeValue& literal) {
  return std::holds_alternative<std::string>(literal) ? "a text"
         : std::holds_alternative<bool>(literal)      ? "true and false"
                                                      : "a number";
}

}  // namespace

Filter::Filter(std::unique_ptr<const Node> root) : root_(std::move(root)) {}
Filter::~Filter() = default;

absl::StatusOr<std::unique_ptr<const Filter>> Filter::Parse(std::string_view text) {
  BEBR_ASSIGN_OR_RETURN(std::unique_ptr<const Node> root, ParseFilter(text));
  BEBR_RETURN_IF_ERROR(CheckTests(*root));
  return std::unique_ptr<const Filter>(new Filter(std::move(root)));
}

Filter::TextAnswers Filter::CompareTexts(const AttributeDictionary& dictionary) const {
  TextAnswers answers;
  for (const Node* test : TestsOf(*root_)) {
    if (!ComparesTexts(*test)) continue;
    const bool prefix = test->op == FilterOperator::kStartsWith;
    const auto* text = &std::get<std::string>(test->literals.front());
    std::vector<uint64_t>& holding = answers[test];
    holding.resize(dictionary.size() / 64 + 1);
    dictionary.ForEach([&](uint32_t number, std::string_view entry) {
      if (number / 64 >= holding.size()) return;  // came after size(): in no row that is read
      const bool holds = prefix ? entry.starts_with(*text) : OrEqual(test->op) ? entry >= *text : entry > *text;
      holding[number / 64] |= uint64_t{holds} << (number % 64);
    });
  }
  return answers;
}

std::vector<std::string> Filter::Unknown(absl::Span<const SegmentView* const> segments) const {
  std::vector<std::string> unknown;
  for (const Node* test : TestsOf(*root_)) {
    const auto holds = [test](const SegmentView* segment) {
      const auto column = segment->attributes->find(test->name);
      return column != segment->attributes->end() && HasType(*column->second, segment->rows, test->literals);
    };
    if (segments.empty() || std::any_of(segments.begin(), segments.end(), holds)) continue;
    const bool named = std::any_of(segments.begin(), segments.end(), [test](const SegmentView* segment) {
      return segment->attributes->contains(test->name);
    });
    std::string sentence = named && !test->literals.empty()
                               ? absl::StrFormat("no document has an attribute \"%s\" of the type of %s", test->name,
                                                 TypeName(test->literals.front()))
                               : absl::StrFormat("no document has an attribute \"%s\"", test->name);
    if (std::find(unknown.begin(), unknown.end(), sentence) == unknown.end()) unknown.push_back(std::move(sentence));
  }
  return unknown;
}

RowSet Filter::Evaluate(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary,
                        const TextAnswers& texts, uint32_t rows, const Segment* ids) const {
  RowSet all((uint64_t{rows} + kWordRows - 1) / kWordRows, ~uint64_t{0});
  if (rows % kWordRows != 0) all.back() = (uint64_t{1} << (rows % kWordRows)) - 1;
  return EvaluateNode(*root_, Table{columns, dictionary, texts, rows, ids}, std::move(all));
}

}  // namespace bebr
