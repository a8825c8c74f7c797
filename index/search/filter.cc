#include "index/search/filter.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/search/column_test.h"
#include "index/search/filter_lookup.h"
#include "index/search/filter_parser.h"
#include "index/search/list_match.h"
#include "index/search/value_ranges.h"

namespace bebr {
namespace {

constexpr uint32_t kWordRows = 64;

bool Any(const RowSet& rows) {
  uint64_t any = 0;
  for (const uint64_t word : rows) any |= word;
  return any != 0;
}

struct Table {
  const AttributeColumns::Map& columns;
  const AttributeDictionary& dictionary;
  const Filter::TextAnswers& texts;
  uint32_t row_count;
  const Segment* ids;  // may be null
};

// A test of an attribute that asks for few ranges of values; nullopt for others.
std::optional<std::vector<KeyRange>> FewRangesOf(const Filter::Node& node, const Table& table) {
  constexpr size_t kMostLiterals = 64;
  if (node.kind != Filter::Node::Kind::kTest || node.of_id || IsContains(node.op)) return std::nullopt;
  return RangesOf(node, table.dictionary, kMostLiterals);
}

RowSet EvaluateNode(const Filter::Node& node, const Table& table, RowSet rows);

// The rows of `rows` that satisfy all children of `node`. Tests of one attribute, as both bounds of an interval, are
// one pass.
RowSet EvaluateAll(const Filter::Node& node, const Table& table, RowSet rows) {
  std::vector<bool> seen(node.children.size(), false);
  for (size_t i = 0; i < node.children.size() && Any(rows); ++i) {
    const Filter::Node& child = *node.children[i];
    if (seen[i]) continue;
    auto ranges = FewRangesOf(child, table);
    const auto found = ranges.has_value() ? table.columns.find(child.name) : table.columns.end();
    if (found == table.columns.end()) {
      rows = EvaluateNode(child, table, std::move(rows));
      continue;
    }
    for (size_t j = i + 1; j < node.children.size(); ++j) {
      if (seen[j] || node.children[j]->name != child.name) continue;
      const auto more = FewRangesOf(*node.children[j], table);
      if (!more.has_value()) continue;
      ranges = Intersect(*ranges, *more);
      seen[j] = true;
    }
    rows = TestRanges(*ranges, {*found->second, table.dictionary, table.texts, table.row_count}, rows);
  }
  return rows;
}

// The rows of `rows` that satisfy `node`: rows that are decided already are not looked at again.
RowSet EvaluateNode(const Filter::Node& node, const Table& table, RowSet rows) {
  if (!Any(rows)) return rows;
  switch (node.kind) {
    case Filter::Node::Kind::kTest: {
      if (node.of_id) {
        if (table.ids == nullptr) return RowSet(rows.size(), 0);
        return TestIds(node, *table.ids, table.row_count, rows);
      }
      const auto found = table.columns.find(node.name);
      if (found == table.columns.end()) return RowSet(rows.size(), 0);
      return TestColumn(node, {*found->second, table.dictionary, table.texts, table.row_count}, rows);
    }
    case Filter::Node::Kind::kAnd:
      return EvaluateAll(node, table, std::move(rows));
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

RowSet SetOf(absl::Span<const uint16_t> numbers, uint32_t rows) {
  RowSet set((uint64_t{rows} + kWordRows - 1) / kWordRows, 0);
  for (const uint16_t row : numbers) set[row / kWordRows] |= uint64_t{1} << (row % kWordRows);
  return set;
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

// Whether a test is compared with every distinct text or list.
bool ComparesTexts(const Filter::Node& test) {
  if (test.op == FilterOperator::kStartsWith || test.op == FilterOperator::kListHasOther) return true;
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

bool Has(const AttributeColumns::Column& column, uint32_t rows, AttributeType type) {
  return std::memchr(column.types.data(), static_cast<int>(type), rows) != nullptr;
}

// Whether some row has a value that the test can be true of.
bool HasType(const AttributeColumns::Column& column, uint32_t rows, const Filter::Node& test) {
  if (IsContains(test.op)) return Has(column, rows, AttributeType::kList);
  if (OfGroups(test.op)) {
    return std::any_of(column.types.data(), column.types.data() + rows, [](AttributeType type) {
      return type != AttributeType::kAbsent && type != AttributeType::kStored;
    });
  }
  if (test.literals.empty()) {
    const AttributeType* types = column.types.data();
    return std::any_of(types, types + rows, [](AttributeType type) { return type != AttributeType::kAbsent; });
  }
  return std::any_of(test.literals.begin(), test.literals.end(), [&](const AttributeScalar& literal) {
    if (std::holds_alternative<std::string>(literal)) return Has(column, rows, AttributeType::kString);
    if (std::holds_alternative<bool>(literal)) return Has(column, rows, AttributeType::kBool);
    if (std::holds_alternative<Timestamp>(literal)) return Has(column, rows, AttributeType::kTimestamp);
    return Has(column, rows, AttributeType::kInt) || Has(column, rows, AttributeType::kDouble);
  });
}

std::string_view TypeName(const Filter::Node& test) {
  if (IsContains(test.op)) return "a list";
  const AttributeScalar& literal = test.literals.front();
  return std::holds_alternative<std::string>(literal) ? "a text"
         : std::holds_alternative<bool>(literal)      ? "true and false"
         : std::holds_alternative<Timestamp>(literal) ? "a timestamp"
                                                      : "a number";
}

// Whether some row of the segments has a value of the type.
bool SomeHave(absl::Span<const SegmentView* const> segments, const std::string& name, AttributeType type) {
  return std::any_of(segments.begin(), segments.end(), [&](const SegmentView* segment) {
    const auto column = segment->attributes->find(name);
    return column != segment->attributes->end() && Has(*column->second, segment->rows, type);
  });
}

// How the attribute of a test that is true of none of its values could be meant; empty: nobody knows.
std::string_view HintOf(const Filter::Node& test, absl::Span<const SegmentView* const> segments) {
  if (IsContains(test.op)) return "; it has no lists: compare it by = or IN";
  if (SomeHave(segments, test.name, AttributeType::kList)) return "; it has lists: ask what they hold by CONTAINS";
  if (!std::holds_alternative<Timestamp>(test.literals.front()) &&
      SomeHave(segments, test.name, AttributeType::kTimestamp)) {
    return "; it has timestamps: write TIMESTAMP \"2026-01-31T12:00:00Z\"";
  }
  return "";
}

// What is to be said of a test whose attribute no row of the segments has, or none with a value that it can be true of.
std::string SentenceOf(const Filter::Node& test, bool named, bool stored,
                       absl::Span<const SegmentView* const> segments) {
  const bool grouped = OfGroups(test.op);
  if (stored && grouped) {
    return absl::StrFormat("attribute \"%s\" is stored only; nothing is grouped by it", test.name);
  }
  if (stored) {
    return absl::StrFormat("attribute \"%s\" is stored only; a filter can but ask whether it EXISTS", test.name);
  }
  return named && !test.literals.empty() && !grouped
             ? absl::StrFormat("no document has an attribute \"%s\" of the type of %s%s", test.name, TypeName(test),
                               HintOf(test, segments))
             : absl::StrFormat("no document has an attribute \"%s\"", test.name);
}

void AddOnce(std::string sentence, std::vector<std::string>& sentences) {
  if (std::find(sentences.begin(), sentences.end(), sentence) == sentences.end()) {
    sentences.push_back(std::move(sentence));
  }
}

// A test of an attribute's values: by `op` where they stand alone, and with `lists` or by `list_op` where they are in a
// list.
std::shared_ptr<const Filter::Node> OnScalars(const std::string& name, std::vector<AttributeScalar> literals,
                                              FilterOperator op, FilterOperator list_op, bool lists) {
  const auto test = [&](FilterOperator by) {
    auto node = std::make_shared<Filter::Node>();
    node->name = name;
    node->op = by;
    node->literals = literals;
    return node;
  };
  if (!lists) return test(op);
  auto either = std::make_shared<Filter::Node>();
  either->kind = Filter::Node::Kind::kOr;
  either->children = {test(op), test(list_op)};
  return either;
}

}  // namespace

Filter::Filter(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
Filter::~Filter() = default;

std::shared_ptr<const Filter> Filter::Both(const Filter* base, std::shared_ptr<const Node> condition) {
  if (base == nullptr) return std::shared_ptr<const Filter>(new Filter(std::move(condition)));
  auto both = std::make_shared<Node>();
  both->kind = Node::Kind::kAnd;
  both->children = {base->root_, std::move(condition)};
  return std::shared_ptr<const Filter>(new Filter(std::move(both)));
}

std::shared_ptr<const Filter> Filter::WithValue(const Filter* base, const std::string& name,
                                                const AttributeScalar& value, bool lists) {
  return Both(base, OnScalars(name, {value}, FilterOperator::kEqual, FilterOperator::kContains, lists));
}

std::shared_ptr<const Filter> Filter::WithOtherValue(const Filter* base, const std::string& name,
                                                     std::vector<AttributeScalar> known, bool lists) {
  return Both(base, OnScalars(name, std::move(known), FilterOperator::kHasOther, FilterOperator::kListHasOther, lists));
}

absl::StatusOr<std::unique_ptr<const Filter>> Filter::Parse(std::string_view text) {
  BEBR_ASSIGN_OR_RETURN(std::shared_ptr<const Node> root, ParseFilter(text));
  BEBR_RETURN_IF_ERROR(CheckTests(*root));
  return std::unique_ptr<const Filter>(new Filter(std::move(root)));
}

std::vector<const Filter::Node*> Filter::TextTests() const {
  std::vector<const Node*> tests = TestsOf(*root_);
  std::erase_if(tests, [](const Node* test) { return !ComparesTexts(*test); });
  return tests;
}

std::vector<uint64_t> Filter::CompareText(const Node& test, const AttributeDictionary& dictionary,
                                          absl::FunctionRef<bool()> stopped) {
  const uint32_t size = dictionary.size();
  std::vector<uint64_t> holding(size / 64 + 1);
  const auto fill = [&](const auto& holds) {
    // What comes later, with a number beyond size() or one that is free, is in no row that is read.
    for (uint32_t begin = 0; begin < size; begin += AttributeDictionary::kRun) {
      if (begin > 0 && stopped()) return;
      const uint32_t end = std::min(size, begin + AttributeDictionary::kRun);
      dictionary.ForEach(begin, end, [&](uint32_t number, std::string_view entry) {
        holding[number / 64] |= uint64_t{holds(entry)} << (number % 64);
      });
    }
  };
  if (test.op == FilterOperator::kListHasOther) {
    fill([others = OtherValues(test)](std::string_view entry) { return others.AnyIn(entry); });
    return holding;
  }
  const auto& text = std::get<std::string>(test.literals.front());
  if (test.op == FilterOperator::kStartsWith) {
    fill([&](std::string_view entry) { return entry.starts_with(text); });
  } else if (OrEqual(test.op)) {
    fill([&](std::string_view entry) { return entry >= text; });
  } else {
    fill([&](std::string_view entry) { return entry > text; });
  }
  return holding;
}

Filter::TextAnswers Filter::CompareTexts(const AttributeDictionary& dictionary,
                                         absl::FunctionRef<bool()> stopped) const {
  TextAnswers answers;
  for (const Node* test : TextTests()) {
    if (stopped()) break;
    answers[test] = CompareText(*test, dictionary, stopped);
  }
  return answers;
}

Filter::Warnings Filter::Unknown(absl::Span<const SegmentView* const> segments) const {
  Warnings warnings;
  if (segments.empty()) return warnings;
  for (const Node* test : TestsOf(*root_)) {
    bool named = false, holds = false, stored = false;
    for (const SegmentView* segment : segments) {
      const auto column = segment->attributes->find(test->name);
      if (column == segment->attributes->end()) continue;
      named = true;
      holds = holds || HasType(*column->second, segment->rows, *test);
      const bool compares = !test->literals.empty() || OfGroups(test->op);
      stored = stored || (compares && Has(*column->second, segment->rows, AttributeType::kStored));
    }
    if (!holds) {
      AddOnce(SentenceOf(*test, named, stored, segments), warnings.unknown);
    } else if (stored) {
      AddOnce(
          absl::StrFormat("values of attribute \"%s\" that are stored only, such as texts of more than %d bytes, are "
                          "compared with nothing",
                          test->name, kMaxIndexedTextBytes),
          warnings.stored);
    }
  }
  return warnings;
}

SelectedRows Filter::Select(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary,
                            const TextAnswers& texts, uint32_t rows, const Segment* ids) const {
  const Table table{columns, dictionary, texts, rows, ids};
  SelectedRows selected;
  if (std::optional<FewRows> few = LookUp(*root_, columns, dictionary, rows)) {
    selected.few = true;
    selected.numbers = std::move(few->rows);
    if (few->exact || selected.numbers.empty()) return selected;
    const RowSet satisfied = EvaluateNode(*root_, table, SetOf(selected.numbers, rows));
    std::erase_if(selected.numbers,
                  [&](uint16_t row) { return (satisfied[row / kWordRows] >> (row % kWordRows) & 1) == 0; });
    return selected;
  }
  RowSet all((uint64_t{rows} + kWordRows - 1) / kWordRows, ~uint64_t{0});
  if (rows % kWordRows != 0) all.back() = (uint64_t{1} << (rows % kWordRows)) - 1;
  selected.set = EvaluateNode(*root_, table, std::move(all));
  return selected;
}

RowSet Filter::Evaluate(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary,
                        const TextAnswers& texts, uint32_t rows, const Segment* ids) const {
  SelectedRows selected = Select(columns, dictionary, texts, rows, ids);
  return selected.few ? SetOf(selected.numbers, rows) : std::move(selected.set);
}

}  // namespace bebr
