#include "index/search/filter.h"

#include <algorithm>
#include <cstddef>
#include <map>
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
  const Filter::Ids* ids;  // may be null
};

// A test of an attribute that asks for few ranges of values; nullopt for others.
std::optional<std::vector<KeyRange>> FewRangesOf(const Filter::Node& node, const AttributeDictionary& dictionary) {
  constexpr size_t kMostLiterals = 64;
  if (node.kind != Filter::Node::Kind::kTest || node.of_id || IsContains(node.op)) return std::nullopt;
  return RangesOf(node, dictionary, kMostLiterals);
}

RowSet EvaluateNode(const Filter::Node& node, const Table& table, RowSet rows);

// The rows of `rows` that satisfy all children of `node`. Tests of one attribute, as both bounds of an interval, are
// one pass.
RowSet EvaluateAll(const Filter::Node& node, const Table& table, RowSet rows) {
  std::vector<bool> seen(node.children.size(), false);
  for (size_t i = 0; i < node.children.size() && Any(rows); ++i) {
    const Filter::Node& child = *node.children[i];
    if (seen[i]) continue;
    auto ranges = FewRangesOf(child, table.dictionary);
    const auto found = ranges.has_value() ? table.columns.find(child.name) : table.columns.end();
    if (found == table.columns.end()) {
      rows = EvaluateNode(child, table, std::move(rows));
      continue;
    }
    for (size_t j = i + 1; j < node.children.size(); ++j) {
      if (seen[j] || node.children[j]->name != child.name) continue;
      const auto more = FewRangesOf(*node.children[j], table.dictionary);
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

// Whether a test is compared with every distinct text or list.
bool ComparesTexts(const Filter::Node& test) {
  if (test.op == FilterOperator::kStartsWith || test.op == FilterOperator::kListHasOther) return true;
  return IsOrder(test.op) && std::holds_alternative<std::string>(test.literals.front());
}

absl::Status CheckTests(const Filter::Node& root) {
  const std::vector<const Filter::Node*> tests = AllTestsOf(root);
  if (tests.size() > kMaxFilterTests) {
    return absl::InvalidArgumentError(
        absl::StrFormat("filter has %d comparisons; the limit is %d: compare one attribute with many values by IN",
                        tests.size(), kMaxFilterTests));
  }
  const auto texts = static_cast<size_t>(
      std::count_if(tests.begin(), tests.end(), [](const Filter::Node* test) { return ComparesTexts(*test); }));
  if (texts <= kMaxTextComparisons) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("filter compares texts by <, <=, >, >=, BETWEEN or STARTS WITH %d times; the limit is %d", texts,
                      kMaxTextComparisons));
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

std::vector<const Filter::Node*> Filter::LocatedTests() const {
  std::vector<const Node*> tests = AllTestsOf(*root_);
  std::erase_if(tests, [](const Node* test) { return !IsLocated(*test); });
  return tests;
}

std::vector<const Filter::Node*> Filter::TextTests() const {
  std::vector<const Node*> tests = AttributeTestsOf(*root_);
  std::erase_if(tests, [](const Node* test) { return !ComparesTexts(*test); });
  return tests;
}

bool Filter::IsLight() const {
  constexpr size_t kMostLightTests = 16, kMostLightLiterals = 64, kMostLightBytes = 4096;
  const std::vector<const Node*> tests = AllTestsOf(*root_);
  size_t literals = 0, bytes = 0;
  for (const Node* test : tests) {
    literals += test->literals.size();
    if (ComparesTexts(*test) || literals > kMostLightLiterals) return false;
    for (const AttributeScalar& literal : test->literals) {
      if (const auto* text = std::get_if<std::string>(&literal)) bytes += text->size();
    }
  }
  return tests.size() <= kMostLightTests && bytes <= kMostLightBytes;
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

std::optional<SelectedRows> Filter::SelectFew(const AttributeColumns::Map& columns,
                                              const AttributeDictionary& dictionary, const TextAnswers& texts,
                                              uint32_t rows, const Ids* ids, bool may_build) const {
  std::optional<FewRows> few = LookUp(*root_, columns, dictionary, ids, rows, may_build);
  if (!few.has_value()) return std::nullopt;
  SelectedRows selected{.few = true, .numbers = std::move(few->rows), .set = {}};
  if (few->exact || selected.numbers.empty()) return selected;
  const Table table{columns, dictionary, texts, rows, ids};
  const RowSet satisfied = EvaluateNode(*root_, table, SetOf(selected.numbers, rows));
  std::erase_if(selected.numbers,
                [&](uint16_t row) { return (satisfied[row / kWordRows] >> (row % kWordRows) & 1) == 0; });
  return selected;
}

std::optional<std::vector<ColumnRanges>> Filter::AsRanges(const AttributeColumns::Map& columns,
                                                          const AttributeDictionary& dictionary) const {
  constexpr size_t kMostRanges = 8;  // of an attribute: more cost as much as a look-up for every row
  std::vector<const Node*> tests = {root_.get()};
  if (root_->kind == Node::Kind::kAnd) {
    tests.clear();
    for (const auto& child : root_->children) tests.push_back(child.get());
  }
  std::map<std::string_view, std::vector<KeyRange>> by_name;
  for (const Node* test : tests) {
    auto ranges = FewRangesOf(*test, dictionary);
    if (!ranges.has_value()) return std::nullopt;
    const auto [known, added] = by_name.try_emplace(test->name, *ranges);
    if (!added) known->second = Intersect(known->second, *ranges);
    if (known->second.size() > kMostRanges) return std::nullopt;
  }
  std::vector<ColumnRanges> all;
  for (auto& [name, ranges] : by_name) {
    const auto found = columns.find(name);
    all.push_back({found == columns.end() ? nullptr : found->second.get(), std::move(ranges)});
  }
  return all;
}

RowSet Filter::SelectAll(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary,
                         const TextAnswers& texts, uint32_t rows, const Ids* ids) const {
  if (const auto ranges = AsRanges(columns, dictionary)) {
    RowSet set((uint64_t{rows} + kWordRows - 1) / kWordRows, 0);
    for (uint32_t word = 0; word < set.size(); word += kTileWords) TestTile(*ranges, rows, word, set);
    return set;
  }
  RowSet all((uint64_t{rows} + kWordRows - 1) / kWordRows, ~uint64_t{0});
  if (rows % kWordRows != 0) all.back() = (uint64_t{1} << (rows % kWordRows)) - 1;
  return EvaluateNode(*root_, {columns, dictionary, texts, rows, ids}, std::move(all));
}

SelectedRows Filter::Select(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary,
                            const TextAnswers& texts, uint32_t rows, const Ids* ids) const {
  if (auto few = SelectFew(columns, dictionary, texts, rows, ids)) return *std::move(few);
  return {.few = false, .numbers = {}, .set = SelectAll(columns, dictionary, texts, rows, ids)};
}

RowSet Filter::Evaluate(const AttributeColumns::Map& columns, const AttributeDictionary& dictionary,
                        const TextAnswers& texts, uint32_t rows, const Ids* ids) const {
  SelectedRows selected = Select(columns, dictionary, texts, rows, ids);
  return selected.few ? SetOf(selected.numbers, rows) : std::move(selected.set);
}

}  // namespace bebr
