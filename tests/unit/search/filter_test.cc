#include "index/search/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/search/filter_parser.h"
#include "index/types/search.h"

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kLeastInt = std::numeric_limits<int64_t>::min();
constexpr int64_t kGreatestInt = std::numeric_limits<int64_t>::max();
constexpr int64_t kTwoTo53 = int64_t{1} << 53;
constexpr double kTwoTo63 = 9223372036854775808.0;

// Documents and their columns, of exactly the capacity that they need.
class Table {
 public:
  explicit Table(std::vector<Attributes> documents)
      : documents_(std::move(documents)), columns_(static_cast<uint32_t>(documents_.size()), dictionary_) {
    for (uint32_t row = 0; row < rows(); ++row) columns_.Set(row, documents_[row]);
  }

  uint32_t rows() const { return static_cast<uint32_t>(documents_.size()); }
  const Attributes& document(uint32_t row) const { return documents_[row]; }
  RowSet Evaluate(const Filter& filter, uint32_t rows) const {
    return filter.Evaluate(*columns_.view(), *dictionary_, filter.CompareTexts(*dictionary_), rows);
  }

  SelectedRows Select(const Filter& filter, uint32_t rows) const {
    return filter.Select(*columns_.view(), *dictionary_, filter.CompareTexts(*dictionary_), rows);
  }
  // By the indexes that are there.
  std::optional<SelectedRows> SelectByBuilt(const Filter& filter, uint32_t rows) const {
    return filter.SelectFew(*columns_.view(), *dictionary_, filter.CompareTexts(*dictionary_), rows, nullptr,
                            /*may_build=*/false);
  }

  // The numbers of the rows that satisfy the filter; a failure if it has no meaning or bits beyond the rows are set.
  std::vector<uint32_t> Rows(std::string_view text) const { return Rows(text, rows()); }
  std::vector<uint32_t> Rows(std::string_view text, uint32_t rows) const {
    const auto filter = Filter::Parse(text);
    EXPECT_TRUE(filter.ok()) << filter.status() << "\n" << text;
    if (!filter.ok()) return {};
    const RowSet set = Evaluate(**filter, rows);
    EXPECT_EQ(set.size(), (rows + 63) / 64);
    std::vector<uint32_t> found;
    for (uint32_t i = 0; i < set.size() * 64; ++i) {
      if ((set[i / 64] >> (i % 64) & 1) == 0) continue;
      EXPECT_LT(i, rows) << "a bit beyond the rows: " << text;
      found.push_back(i);
    }
    return found;
  }

 private:
  std::vector<Attributes> documents_;
  const std::shared_ptr<AttributeDictionary> dictionary_ = std::make_shared<AttributeDictionary>();
  AttributeColumns columns_;
};

AttributeValue Text(std::string_view text) { return std::string(text); }
AttributeValue Int(int64_t value) { return value; }
AttributeValue Double(double value) { return value; }
AttributeValue Bool(bool value) { return value; }

// One document for each value of attribute "a".
Table TableOf(const std::vector<AttributeValue>& values) {
  std::vector<Attributes> documents;
  for (const AttributeValue& value : values) documents.push_back({{"a", value}});
  return Table(std::move(documents));
}

// ---- The reference: one row at a time, as obvious as can be ----

struct Expression {
  enum class Kind { kAnd, kOr, kNot, kExists, kCompare, kIn, kContains, kContainsAny, kContainsAll };
  Kind kind = Kind::kExists;
  std::vector<Expression> children;
  std::string name;
  std::string op;
  std::vector<AttributeValue> literals;
};

template <typename T>
bool Holds(const T& left, const std::string& op, const T& right) {
  if (op == "=") return left == right;
  if (op == "!=") return left != right;
  if (op == "<") return left < right;
  if (op == "<=") return left <= right;
  if (op == ">") return left > right;
  return left >= right;
}

bool IsNumber(const AttributeValue& value) {
  return std::holds_alternative<int64_t>(value) || std::holds_alternative<double>(value);
}

// A long double holds every int64 and every double exactly.
static_assert(std::numeric_limits<long double>::digits >= 64);
long double Number(const AttributeValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<long double>(*integer);
  return static_cast<long double>(std::get<double>(value));
}

bool ReferenceCompare(const AttributeValue& value, const std::string& op, const AttributeValue& literal) {
  if (IsNumber(value) && IsNumber(literal)) return Holds(Number(value), op, Number(literal));
  if (value.index() != literal.index()) return false;
  if (const auto* text = std::get_if<std::string>(&value)) {
    return text->size() <= kMaxIndexedTextBytes && Holds(*text, op, std::get<std::string>(literal));
  }
  if (const auto* time = std::get_if<Timestamp>(&value)) {
    return Holds(time->unix_us, op, std::get<Timestamp>(literal).unix_us);
  }
  return Holds(std::get<bool>(value), op, std::get<bool>(literal));
}

bool ReferenceContains(const AttributeValue& value, const Expression& expression) {
  const auto* list = std::get_if<AttributeList>(&value);
  if (list == nullptr) return false;
  for (const AttributeScalar& scalar : *list) {
    const auto* text = std::get_if<std::string>(&scalar);
    if (text != nullptr && text->size() > kMaxIndexedTextBytes) return false;  // the list is stored only
  }
  const auto has = [&](const AttributeValue& literal) {
    return std::any_of(list->begin(), list->end(),
                       [&](const AttributeScalar& scalar) { return ReferenceCompare(ToValue(scalar), "=", literal); });
  };
  if (expression.kind != Expression::Kind::kContainsAll)
    return std::any_of(expression.literals.begin(), expression.literals.end(), has);
  return std::all_of(expression.literals.begin(), expression.literals.end(), has);
}

bool Reference(const Expression& expression, const Attributes& document) {
  switch (expression.kind) {
    case Expression::Kind::kAnd:
      for (const Expression& child : expression.children) {
        if (!Reference(child, document)) return false;
      }
      return true;
    case Expression::Kind::kOr:
      for (const Expression& child : expression.children) {
        if (Reference(child, document)) return true;
      }
      return false;
    case Expression::Kind::kNot:
      return !Reference(expression.children[0], document);
    default:
      break;
  }
  const auto found = document.find(expression.name);
  if (found == document.end()) return false;
  if (expression.kind == Expression::Kind::kExists) return true;
  if (expression.kind >= Expression::Kind::kContains) return ReferenceContains(found->second, expression);
  for (const AttributeValue& literal : expression.literals) {
    if (ReferenceCompare(found->second, expression.op, literal)) return true;
  }
  return false;
}

// ---- Random documents, expressions and their text ----

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  AttributeValue Value() {
    static const std::vector<std::string> kTexts = {
        "",     "a", "b", "ab", "B", "caf\u00e9", "it's", "say \"x\"", "back\\slash", "`", std::string("nul\0l", 5),
        "libs", "zz"};
    static const std::vector<int64_t> kInts = {0,
                                               1,
                                               -1,
                                               2,
                                               7,
                                               kTwoTo53,
                                               -kTwoTo53,
                                               kTwoTo53 + 1,
                                               kTwoTo53 - 1,
                                               kLeastInt,
                                               kGreatestInt,
                                               kLeastInt + 1,
                                               kGreatestInt - 1,
                                               kGreatestInt - 1023,
                                               -kTwoTo53 - 1};
    static const std::vector<double> kDoubles = {0.0,
                                                 -0.0,
                                                 0.5,
                                                 -0.5,
                                                 1.0,
                                                 -1.0,
                                                 2.0,
                                                 6.9999,
                                                 5e-324,
                                                 -5e-324,
                                                 kTwoTo63,
                                                 -kTwoTo63,
                                                 1e300,
                                                 -1e300,
                                                 7.0,
                                                 9007199254740992.0,
                                                 9007199254740994.0,
                                                 -9007199254740994.0,
                                                 9223372036854774784.0,
                                                 -9223372036854777856.0};
    static const std::vector<int64_t> kTimes = {0, 1, -1, 1767225600000000, 1767225600250000, -62167219200000000};
    switch (Below(5)) {
      case 0:
        return kTexts[Below(static_cast<uint32_t>(kTexts.size()))];
      case 1:
        return kInts[Below(static_cast<uint32_t>(kInts.size()))];
      case 2:
        return kDoubles[Below(static_cast<uint32_t>(kDoubles.size()))];
      case 3:
        return Timestamp{kTimes[Below(static_cast<uint32_t>(kTimes.size()))]};
      default:
        return Below(2) == 0;
    }
  }

  // A value, a list, or something that is stored only.
  AttributeValue DocumentValue() {
    const uint32_t choice = Below(8);
    if (choice == 0) return std::string(257, 'x');
    if (choice > 3) return Value();
    AttributeList list;
    for (uint32_t i = Below(6); i > 0; --i) list.push_back(ToScalar(Value()));
    if (choice == 3 && Below(4) == 0) list.emplace_back(std::string(300, 'y'));
    return list;
  }

  std::string Name() {
    static const std::vector<std::string> kNames = {"a", "b_1", "c.d-e", "and", "with space", "`quoted`", "absent"};
    return kNames[Below(static_cast<uint32_t>(kNames.size()))];
  }

  Attributes Document() {
    Attributes attributes;
    const uint32_t count = Below(7);
    for (uint32_t i = 0; i < count; ++i) {
      if (std::string name = Name(); name != "absent") attributes[std::move(name)] = DocumentValue();
    }
    return attributes;
  }

  // So many tests of one attribute, most of which leave all values but one.
  Expression Tests(const std::string& name, uint32_t count) {
    static const std::vector<std::string> kOperators = {"!=", "!=", "!=", "!=", "!=", "!=", "<", "<=", ">", ">="};
    Expression tests;
    tests.kind = Expression::Kind::kAnd;
    for (uint32_t i = 0; i < count; ++i) {
      Expression& test = tests.children.emplace_back();
      test.kind = Expression::Kind::kCompare;
      test.name = name;
      test.op = kOperators[Below(static_cast<uint32_t>(kOperators.size()))];
      test.literals.push_back(Value());
    }
    return tests;
  }

  Expression Tree(uint32_t depth) {
    Expression expression;
    const uint32_t choice = Below(depth == 0 ? 3 : 8);
    if (choice < 3) {
      static const std::vector<std::string> kOperators = {"=", "!=", "<", "<=", ">", ">="};
      expression.name = Name();
      expression.kind = choice == 0   ? Expression::Kind::kIn
                        : choice == 1 ? Expression::Kind::kCompare
                                      : (Below(3) == 0 ? Expression::Kind::kExists : Expression::Kind::kCompare);
      expression.op = expression.kind == Expression::Kind::kIn ? "=" : kOperators[Below(6)];
      uint32_t literals = expression.kind == Expression::Kind::kIn ? 1 + Below(Below(4) == 0 ? 60 : 4) : 1;
      if (Below(4) == 0) {
        static constexpr Expression::Kind kKinds[] = {Expression::Kind::kContains, Expression::Kind::kContainsAny,
                                                      Expression::Kind::kContainsAll};
        const uint32_t kind = Below(3);
        expression.kind = kKinds[kind];
        literals = kind == 0 ? 1 : 1 + Below(kind == 1 ? 8 : 3);
      }
      for (uint32_t i = 0; i < literals; ++i) expression.literals.push_back(Value());
      return expression;
    }
    if (choice == 4 && Below(3) == 0) return Tests(Name(), 2 + Below(11));
    expression.kind = choice < 5 ? Expression::Kind::kAnd : choice < 7 ? Expression::Kind::kOr : Expression::Kind::kNot;
    const uint32_t children = expression.kind == Expression::Kind::kNot ? 1 : 2 + Below(2);
    for (uint32_t i = 0; i < children; ++i) expression.children.push_back(Tree(depth - 1));
    return expression;
  }

  // The expression as text, with no more parentheses than precedence asks for, and now and then some more.
  std::string Render(const Expression& expression, int outer_precedence = 0) {
    static constexpr int kOr = 1, kAnd = 2, kNot = 3, kTest = 4;
    std::string text;
    int precedence = kTest;
    switch (expression.kind) {
      case Expression::Kind::kOr:
        text = Join(expression.children, "or", precedence = kOr);
        break;
      case Expression::Kind::kAnd:
        text = Join(expression.children, "and", precedence = kAnd);
        break;
      case Expression::Kind::kNot:
        precedence = kNot;
        text = absl::StrCat(Keyword("not"), " ", Render(expression.children[0], kNot));
        break;
      case Expression::Kind::kExists:
        text = absl::StrCat(RenderName(expression.name), " ", Keyword("exists"));
        break;
      case Expression::Kind::kCompare:
        text =
            absl::StrCat(RenderName(expression.name), Space(), expression.op, Space(), Literal(expression.literals[0]));
        break;
      case Expression::Kind::kIn:
        text = absl::StrCat(RenderName(expression.name), " ", Keyword("in"), Space(), List(expression));
        break;
      case Expression::Kind::kContains:
        text =
            absl::StrCat(RenderName(expression.name), " ", Keyword("contains"), " ", Literal(expression.literals[0]));
        break;
      case Expression::Kind::kContainsAny:
        text =
            absl::StrCat(RenderName(expression.name), " ", Keyword("contains"), " ", Keyword("any"), List(expression));
        break;
      case Expression::Kind::kContainsAll:
        text =
            absl::StrCat(RenderName(expression.name), " ", Keyword("contains"), " ", Keyword("all"), List(expression));
        break;
    }
    if (precedence < outer_precedence || Below(8) == 0) return absl::StrCat("(", Space(), text, Space(), ")");
    return text;
  }

 private:
  std::string Join(const std::vector<Expression>& children, const std::string& keyword, int precedence) {
    std::string text;
    for (const Expression& child : children) {
      if (!text.empty()) absl::StrAppend(&text, " ", Keyword(keyword), " ");
      absl::StrAppend(&text, Render(child, precedence));
    }
    return text;
  }
  std::string List(const Expression& expression) {
    return absl::StrCat("(",
                        absl::StrJoin(expression.literals, ",",
                                      [this](std::string* out, const AttributeValue& value) {
                                        absl::StrAppend(out, Space(), Literal(value), Space());
                                      }),
                        ")");
  }
  std::string Space() { return std::string(Below(3), " \t\n"[Below(3)]); }
  std::string Keyword(std::string word) {
    for (char& c : word) {
      if (Below(2) == 0) c = absl::ascii_toupper(c);
    }
    return word;
  }
  std::string Quoted(std::string_view text, char quote) {
    std::string quoted(1, quote);
    for (const char c : text) {
      if (c == quote || c == '\\' || ((c == '"' || c == '\'' || c == '`') && Below(2) == 0)) quoted += '\\';
      quoted += c;
    }
    return quoted + quote;
  }
  std::string RenderName(const std::string& name) {
    const bool plain = name == "a" || name == "b_1" || name == "c.d-e" || name == "absent";
    return plain && Below(2) == 0 ? name : Quoted(name, '`');
  }
  std::string Literal(const AttributeValue& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return Quoted(*text, Below(2) == 0 ? '"' : '\'');
    if (const auto* integer = std::get_if<int64_t>(&value)) return absl::StrCat(*integer);
    if (const auto* flag = std::get_if<bool>(&value)) return Keyword(*flag ? "true" : "false");
    if (const auto* time = std::get_if<Timestamp>(&value)) {
      return absl::StrCat(Keyword("timestamp"), " ", Quoted(FormatTimestamp(*time), '"'));
    }
    std::string text = absl::StrFormat("%.17g", std::get<double>(value));
    if (text.find_first_of(".e") == std::string::npos) text += Below(2) == 0 ? ".0" : "E0";
    return text;
  }

  std::mt19937_64 random_;
};

TEST(FilterTest, AgreesWithTheReferenceOnRandomDocumentsAndExpressions) {
  uint32_t some = 0;
  for (const uint32_t rows : {1u, 63u, 64u, 65u, 300u}) {
    for (uint64_t seed = 0; seed < 600; ++seed) {
      Generator generator(1000 * rows + seed);
      std::vector<Attributes> documents;
      for (uint32_t row = 0; row < rows; ++row) documents.push_back(generator.Document());
      const Table table(std::move(documents));
      const Expression expression = generator.Tree(1 + generator.Below(4));
      const std::string text = generator.Render(expression);
      if (text.size() > kMaxBuiltFilterBytes) continue;
      const uint32_t evaluated = generator.Below(3) == 0 ? generator.Below(rows + 1) : rows;
      std::vector<uint32_t> expected;
      for (uint32_t row = 0; row < evaluated; ++row) {
        if (Reference(expression, table.document(row))) expected.push_back(row);
      }
      ASSERT_EQ(table.Rows(text, evaluated), expected) << "seed " << seed << ", " << rows << " rows: " << text;
      some += !expected.empty() && expected.size() < evaluated;
    }
  }
  EXPECT_GT(some, 1000u) << "too few of the expressions tell documents apart: the test shows nothing";
}

// The same on so many rows that the columns have indexes: what is looked up there is what a pass over the rows finds,
// also by older views than that which built the index.
TEST(FilterTest, LooksUpWhatThePassOverTheRowsFinds) {
  uint32_t few = 0, some = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    Generator generator(seed);
    std::vector<Attributes> documents;
    for (uint32_t row = 0; row < 3000; ++row) {
      documents.push_back(generator.Document());
      // Values that few rows have.
      if (generator.Below(3) > 0) documents.back()["a"] = int64_t{generator.Below(300)};
      if (generator.Below(3) > 0) documents.back()["b_1"] = absl::StrCat("t", generator.Below(300));
      if (generator.Below(3) > 0) documents.back()["c.d-e"] = generator.Below(3000) / 8.0;
    }
    const Table table(std::move(documents));
    const std::vector<std::string> texts = {"a = 5",
                                            "a = 5.0",
                                            "b_1 = \"t7\"",
                                            "b_1 = \"nowhere\"",
                                            "a IN (1, 2.0, 3, 1, 1.0)",
                                            "b_1 IN (\"t1\", \"t2\", 'nowhere') AND a > 100",
                                            "c.d-e >= 100 AND c.d-e < 102.5",
                                            "c.d-e BETWEEN 7.5 AND 8",
                                            "a > 5 AND a <= 6 AND a EXISTS",
                                            "a = 3 OR b_1 = \"t3\"",
                                            "a = 3 OR NOT b_1 = \"t3\"",
                                            "NOT a = 3",
                                            "a < 0.5",
                                            "a <= -1",
                                            "a = 4 AND a = 5",
                                            "a = 4 AND NOT b_1 > \"t2\"",
                                            "(a = 4 OR a = 7) AND (c.d-e < 200 OR c.d-e EXISTS)",
                                            "a = true",
                                            "a != 4",
                                            "absent = 1",
                                            "a < -9e18",
                                            "c.d-e > 1e308",
                                            "b_1 STARTS WITH \"t29\" AND a = 9",
                                            "`and` = true AND a = 11"};
    for (uint32_t i = 0; i < 200; ++i) {
      const Expression expression = generator.Tree(2);
      const std::string text = i < texts.size() ? texts[i] : generator.Render(expression);
      const auto filter = Filter::Parse(text);
      ASSERT_TRUE(filter.ok()) << filter.status();
      const uint32_t evaluated = generator.Below(2) == 0 ? generator.Below(3001) : 3000;
      const auto built = table.SelectByBuilt(**filter, evaluated);
      const SelectedRows selected = table.Select(**filter, evaluated);
      const std::vector<uint32_t> rows = table.Rows(text, evaluated);
      if (built.has_value()) {
        EXPECT_THAT(built->numbers, ElementsAreArray(rows)) << text;
      }
      if (selected.few) {
        EXPECT_THAT(selected.numbers, ElementsAreArray(rows)) << text;
      }
      // A negation is never looked up.
      ASSERT_EQ(rows, table.Rows(absl::StrCat("NOT (NOT (", text, "))"), evaluated)) << "seed " << seed << ": " << text;
      few += selected.few;
      some += selected.few && !rows.empty();
    }
  }
  EXPECT_GT(few, 100u);
  EXPECT_GT(some, 60u);
}

// Every operator with every pair of values of the generator's kinds, numbers at the edges of both types among them.
TEST(FilterTest, AgreesWithTheReferenceOnEveryOperatorAndPairOfTypes) {
  Generator generator(7);
  std::vector<AttributeValue> values;
  for (int i = 0; i < 400; ++i) values.push_back(generator.Value());
  const Table table = TableOf(values);
  for (const std::string op : {"=", "!=", "<", "<=", ">", ">="}) {
    for (const AttributeValue& literal : values) {
      Expression expression{Expression::Kind::kCompare, {}, "a", op, {literal}};
      std::vector<uint32_t> expected;
      for (uint32_t row = 0; row < table.rows(); ++row) {
        if (Reference(expression, table.document(row))) expected.push_back(row);
      }
      const std::string text = generator.Render(expression);
      ASSERT_EQ(table.Rows(text), expected) << text;
    }
  }
}

TEST(FilterTest, ComparesNumbersOfBothTypesByValue) {
  const Table table =
      TableOf({Int(kTwoTo53), Int(kTwoTo53 + 1), Double(9007199254740992.0), Int(kGreatestInt), Double(kTwoTo63)});
  EXPECT_THAT(table.Rows("a = 9007199254740992.0"), ElementsAre(0, 2));
  EXPECT_THAT(table.Rows("a = 9007199254740993"), ElementsAre(1));
  EXPECT_THAT(table.Rows("a < 9007199254740993"), ElementsAre(0, 2));
  EXPECT_THAT(table.Rows("a > 9007199254740992.0"), ElementsAre(1, 3, 4));
  EXPECT_THAT(table.Rows("a >= 9223372036854775807"), ElementsAre(3, 4));
  EXPECT_THAT(table.Rows("a > 9223372036854775807"), ElementsAre(4));
  EXPECT_THAT(table.Rows("a < 9223372036854775808.0"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(table.Rows("a IN (9223372036854775807, 9223372036854775808.0)"), ElementsAre(3, 4));
  const Table zeros = TableOf({Int(0), Double(0.0), Double(-0.0)});
  EXPECT_THAT(zeros.Rows("a = 0"), ElementsAre(0, 1, 2));
  EXPECT_THAT(zeros.Rows("a = -0.0"), ElementsAre(0, 1, 2));
  EXPECT_THAT(zeros.Rows("a != 0"), IsEmpty());
}

TEST(FilterTest, ComparesTextByBytes) {
  const Table table = TableOf({Text("a"), Text("B"), Text("caf\u00e9"), Text(""), Text("cafe"), Int(1)});
  EXPECT_THAT(table.Rows("a < 'a'"), ElementsAre(1, 3));
  EXPECT_THAT(table.Rows("a > \"cafe\""), ElementsAre(2));
  EXPECT_THAT(table.Rows("a >= 'cafe'"), ElementsAre(2, 4));
  EXPECT_THAT(table.Rows("a <= ''"), ElementsAre(3));
  EXPECT_THAT(table.Rows("a != 'in no document'"), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(table.Rows("a IN ('a', 'in no document', 'cafe')"), ElementsAre(0, 4));
}

TEST(FilterTest, FindsValuesInLists) {
  const Table table = TableOf({AttributeList{"red", "blue"}, AttributeList{int64_t{1}, 1.5, true}, AttributeList{},
                               AttributeList{1.0, "red"}, Text("red"), AttributeList{Timestamp{0}}});
  EXPECT_THAT(table.Rows("a CONTAINS 'red'"), ElementsAre(0, 3));
  EXPECT_THAT(table.Rows("a CONTAINS 1"), ElementsAre(1, 3));
  EXPECT_THAT(table.Rows("a CONTAINS ANY ('blue', 1.5)"), ElementsAre(0, 1));
  EXPECT_THAT(table.Rows("a CONTAINS ALL ('red', 1, 1.0)"), ElementsAre(3));
  EXPECT_THAT(table.Rows("a CONTAINS ALL ('red', 'blue', 'green')"), IsEmpty());
  EXPECT_THAT(table.Rows("a CONTAINS TIMESTAMP '1970-01-01T01:00:00+01:00'"), ElementsAre(5));
  EXPECT_THAT(table.Rows("a = 'red'"), ElementsAre(4));
  EXPECT_THAT(table.Rows("a EXISTS"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(Filter::Parse("id CONTAINS 'x'").status().code(), absl::StatusCode::kInvalidArgument);
  const Table words({{{"contains", Int(1)}}, {{"timestamp", Int(1)}}, {{"any", AttributeList{int64_t{2}}}}});
  EXPECT_THAT(words.Rows("contains = 1 OR timestamp = 1 OR any CONTAINS ANY (2)"), ElementsAre(0, 1, 2));
}

TEST(FilterTest, ComparesTimestampsAsTime) {
  const Table table = TableOf(
      {Timestamp{1767225600000000}, Timestamp{1767225600250000}, Int(1767225600000000), Text("2026-01-01T00:00:00Z")});
  EXPECT_THAT(table.Rows("a = timestamp '2026-01-01T01:00:00+01:00'"), ElementsAre(0));
  EXPECT_THAT(table.Rows("a > TIMESTAMP \"2026-01-01T00:00:00Z\""), ElementsAre(1));
  EXPECT_THAT(table.Rows("a BETWEEN TIMESTAMP '2025-12-31T23:59:59Z' AND TIMESTAMP '2026-01-01T00:00:00.25Z'"),
              ElementsAre(0, 1));
  EXPECT_THAT(table.Rows("a != TIMESTAMP '2026-01-01T00:00:00Z'"), ElementsAre(1));
}

TEST(FilterTest, ComparesWhatIsStoredOnlyWithNothing) {
  const std::string text(kMaxIndexedTextBytes + 1, 'x');
  const Table table = TableOf({Text(text), Text(text.substr(1)), AttributeList{text, "a"}});
  EXPECT_THAT(table.Rows("a STARTS WITH 'x'"), ElementsAre(1));
  EXPECT_THAT(table.Rows("a = '" + text + "' OR a CONTAINS 'a' OR a < 'y'"), ElementsAre(1));
  EXPECT_THAT(table.Rows("NOT a = 'y'"), ElementsAre(0, 1, 2));
  EXPECT_THAT(table.Rows("a EXISTS"), ElementsAre(0, 1, 2));
}

TEST(FilterTest, OrdersFalseBeforeTrue) {
  const Table table = TableOf({Bool(false), Bool(true), Int(0), Int(1)});
  EXPECT_THAT(table.Rows("a = true"), ElementsAre(1));
  EXPECT_THAT(table.Rows("a != TRUE"), ElementsAre(0));
  EXPECT_THAT(table.Rows("a < True"), ElementsAre(0));
  EXPECT_THAT(table.Rows("a >= false"), ElementsAre(0, 1));
  EXPECT_THAT(table.Rows("a > true"), IsEmpty());
  EXPECT_THAT(table.Rows("a <= true"), ElementsAre(0, 1));
}

TEST(FilterTest, IsFalseForMissingAttributesAndOtherTypes) {
  const Table table({{{"a", Text("x")}}, {{"a", Int(1)}}, {{"b", Int(1)}}, {}});
  EXPECT_THAT(table.Rows("a = 1"), ElementsAre(1));
  EXPECT_THAT(table.Rows("a != 1"), IsEmpty());
  EXPECT_THAT(table.Rows("a != 2"), ElementsAre(1));
  EXPECT_THAT(table.Rows("NOT a != 2"), ElementsAre(0, 2, 3));
  EXPECT_THAT(table.Rows("NOT a = 1"), ElementsAre(0, 2, 3));
  EXPECT_THAT(table.Rows("a EXISTS"), ElementsAre(0, 1));
  EXPECT_THAT(table.Rows("NOT a EXISTS"), ElementsAre(2, 3));
  EXPECT_THAT(table.Rows("nowhere = 1"), IsEmpty());
  EXPECT_THAT(table.Rows("nowhere != 1 OR nowhere EXISTS OR nowhere IN (1)"), IsEmpty());
  EXPECT_THAT(table.Rows("NOT nowhere != 1"), ElementsAre(0, 1, 2, 3));
}

TEST(FilterTest, BindsNotThenAndThenOr) {
  std::vector<Attributes> documents;
  for (int i = 0; i < 8; ++i) documents.push_back({{"x", Bool(i & 1)}, {"y", Bool(i & 2)}, {"z", Bool(i & 4)}});
  const Table table(std::move(documents));
  EXPECT_THAT(table.Rows("x=true OR y=true AND z=true"), ElementsAre(1, 3, 5, 6, 7));
  EXPECT_THAT(table.Rows("(x=true OR y=true) AND z=true"), ElementsAre(5, 6, 7));
  EXPECT_THAT(table.Rows("x=true AND y=true OR z=true"), ElementsAre(3, 4, 5, 6, 7));
  EXPECT_THAT(table.Rows("not x=true and y=true"), ElementsAre(2, 6));
  EXPECT_THAT(table.Rows("NOT (x=true AND y=true)"), ElementsAre(0, 1, 2, 4, 5, 6));
  EXPECT_THAT(table.Rows("NOT NOT x=true"), ElementsAre(1, 3, 5, 7));
  EXPECT_THAT(table.Rows("((x=true))AND(y=true)"), ElementsAre(3, 7));
}

TEST(FilterTest, ReadsQuotesAndNames) {
  const Table table({{{"select me", Text("it's")}},
                     {{"and", Text("say \"x\"")}},
                     {{"a`b\\c", Text("back\\slash")}},
                     {{"_x.y-z9", Text("caf\u00e9")}},
                     {{"INTEGER", Text(std::string("a\0b", 3))}}});
  EXPECT_THAT(table.Rows("`select me` = 'it\\'s'"), ElementsAre(0));
  EXPECT_THAT(table.Rows("`select me` = \"it's\""), ElementsAre(0));
  EXPECT_THAT(table.Rows("`and` = \"say \\\"x\\\"\""), ElementsAre(1));
  EXPECT_THAT(table.Rows("`a\\`b\\\\c` = 'back\\\\slash'"), ElementsAre(2));
  EXPECT_THAT(table.Rows("_x.y-z9='caf\u00e9'"), ElementsAre(3));
  EXPECT_THAT(table.Rows("integer EXISTS"), IsEmpty()) << "names are told apart by case";
  EXPECT_THAT(table.Rows(std::string_view("INTEGER='a\0b'", 13)), ElementsAre(4));
}

TEST(FilterTest, ReadsNumbers) {
  const Table table = TableOf({Int(-5), Double(0.25), Double(-1500.0), Int(kLeastInt)});
  EXPECT_THAT(table.Rows("a>-6 AND a<0"), ElementsAre(0));
  EXPECT_THAT(table.Rows("a=0.25"), ElementsAre(1));
  EXPECT_THAT(table.Rows("a=25e-2"), ElementsAre(1));
  EXPECT_THAT(table.Rows("a=-1.5E+3"), ElementsAre(2));
  EXPECT_THAT(table.Rows("a=-9223372036854775808"), ElementsAre(3));
}

TEST(FilterTest, FindsNothingInNoRowsAndNoColumns) {
  const Table none{std::vector<Attributes>()};
  EXPECT_THAT(none.Rows("a = 1"), IsEmpty());
  EXPECT_THAT(none.Rows("NOT a = 1"), IsEmpty());
  const Table bare(std::vector<Attributes>(130));
  EXPECT_THAT(bare.Rows("a < 'x' OR a EXISTS"), IsEmpty());
  EXPECT_EQ(bare.Rows("NOT a = 1").size(), 130u);
}

// The position, what was expected and what was found.
TEST(FilterTest, SaysWhereAndWhatIsWrong) {
  const struct {
    std::string text;
    int position;
    std::string says;
  } kCases[] = {
      {"", 1, "expected an attribute name, NOT or ("},
      {"   ", 4, "found the end of the filter"},
      {"a", 2, "expected =, !=, <, <=, >, >=, IN, BETWEEN, STARTS WITH, CONTAINS or EXISTS, found the end"},
      {"a 1", 3, "expected =, !=, <, <=, >, >=, IN, BETWEEN, STARTS WITH, CONTAINS or EXISTS, found 1"},
      {"a NOT IN (1)", 3, "NOT goes before the name"},
      {"a =", 4, "expected text in quotes, a number, true, false or TIMESTAMP \"...\", found the end"},
      {"a == 1", 4, "(equality is one =), found ="},
      {"a = b", 5, "found b"},
      {"a = 1 b = 2", 7, "expected AND, OR or the end of the filter, found b"},
      {"a = 1)", 6, "found )"},
      {"a = 1 AND", 10, "found the end"},
      {"(a = 1", 7, "expected AND, OR or ), found the end"},
      {"and = 1", 1, "a keyword"},
      {"a IN 1", 6, "expected ( and a list of values, found 1"},
      {"a IN ()", 7, "found )"},
      {"a IN (1 2)", 9, "expected , or ), found 2"},
      {"a IN (1,)", 9, "found )"},
      {"a = 'open", 5, "no closing '"},
      {"a = \"open\\\"", 5, "no closing \""},
      {"`open = 1", 1, "no closing `"},
      {"`` = 1", 1, "empty"},
      {"a = 'x\\n'", 7, "before a quote or another"},
      {"a = 12abc", 5, "'12abc' is not a number"},
      {"a = 5.", 5, "'5.' is not a number"},
      {"a = 1-2", 5, "'1-2' is not a number"},
      {"a = 9223372036854775808", 5, "outside the range of a 64-bit integer"},
      {"a = 1e999", 5, "outside the range of a 64-bit floating-point number"},
      {"a & 1", 3, "'&' has no meaning here"},
      {"a = 1 && b = 2", 7, "'&' has no meaning here"},
      {"!a = 1", 1, "'!' has no meaning here"},
      {"\u00fc = 1", 1, "'\u00fc' has no meaning here"},
      {"a = -", 5, "'-' has no meaning here"},
      {"1 = a", 1, "expected an attribute name"},
      {"a CONTAINS", 11, "expected text in quotes, a number"},
      {"a CONTAINS ALL 5", 16, "expected ( and a list of values, found 5"},
      {"a = TIMESTAMP 5", 15, "expected text in quotes after TIMESTAMP, found 5"},
      {"a = TIMESTAMP 'noon'", 15, "is no timestamp: \"noon\"; one reads 2026-01-31T12:00:00Z"},
  };
  for (const auto& [text, position, says] : kCases) {
    const auto filter = Filter::Parse(text);
    ASSERT_FALSE(filter.ok()) << text;
    EXPECT_EQ(filter.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(filter.status().message()), HasSubstr(absl::StrCat("position ", position, ":"))) << text;
    EXPECT_THAT(std::string(filter.status().message()), HasSubstr(says)) << text;
  }
}

TEST(FilterTest, ShowsLongTextCutAtACharacter) {
  std::string text = "a = 1 `x";  // an odd number of bytes before the cut
  for (int i = 0; i < 100; ++i) text += "\u00fc";
  const auto filter = Filter::Parse(text + "` = 2");
  ASSERT_FALSE(filter.ok());
  EXPECT_THAT(std::string(filter.status().message()), testing::EndsWith("\u00fc..."));
}

std::string Repeated(const std::string& text, size_t times) {
  std::string repeated;
  for (size_t i = 0; i < times; ++i) absl::StrAppend(&repeated, text);
  return repeated;
}

TEST(FilterTest, RefusesDeepNesting) {
  const Table table = TableOf({Int(1), Int(2)});
  const size_t limit = kMaxFilterDepth;
  EXPECT_THAT(table.Rows(Repeated("(", limit) + "a=1" + Repeated(")", limit)), ElementsAre(0));
  EXPECT_THAT(table.Rows(Repeated("NOT ", limit) + "a=1"), ElementsAre(0)) << "the limit is even";
  EXPECT_THAT(table.Rows(Repeated("(a=1)OR", 500) + "(a=2)"), ElementsAre(0, 1)) << "length is not depth";
  for (const std::string& text : {Repeated("(", limit + 1) + "a=1" + Repeated(")", limit + 1),
                                  Repeated("NOT ", limit + 1) + "a=1", Repeated("(", 4000), Repeated("NOT(", 1000)}) {
    const auto filter = Filter::Parse(text);
    ASSERT_FALSE(filter.ok());
    EXPECT_EQ(filter.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(filter.status().message()), HasSubstr("nested deeper than the limit of 64"));
  }
}

// A filter costs a pass over the rows a test, and one over all texts for each order of texts: so both are few.
TEST(FilterTest, RefusesMoreTestsThanTheLimits) {
  EXPECT_TRUE(Filter::Parse(Repeated("a=1 OR ", kMaxFilterTests - 1) + "a=1").ok());
  const auto many = Filter::Parse(Repeated("a=1 OR ", kMaxFilterTests) + "id='x'");
  EXPECT_EQ(many.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(many.status().message()), HasSubstr("1001 comparisons; the limit is 1000"));

  EXPECT_TRUE(
      Filter::Parse(Repeated("a>'z' OR ", kMaxTextComparisons - 1) + "a starts with 'b' OR a > 1 OR a = 'c'").ok());
  const auto texts = Filter::Parse(Repeated("a>'z' OR ", kMaxTextComparisons - 1) + "a BETWEEN 'b' AND 'c'");
  EXPECT_EQ(texts.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(texts.status().message()), HasSubstr("65 times; the limit is 64"));
}

TEST(FilterTest, ManyValuesThatAreLeftOutLeaveAllOthers) {
  std::vector<Attributes> documents(1000);
  for (size_t row = 0; row < documents.size(); ++row) {
    documents[row]["n"] = static_cast<int64_t>(row);
    documents[row]["text"] = absl::StrCat("text", row);
    documents[row]["tags"] = AttributeList{row % 100 == 3 ? "rare" : "common"};
  }
  const Table table(std::move(documents));
  std::string numbers = "n != 0", texts = "text != 'text0'";
  for (int i = 1; i < 12; ++i) {
    numbers += absl::StrCat(" AND n != ", 10 * i);
    texts += absl::StrCat(" AND text != 'text", 10 * i, "'");
    EXPECT_EQ(table.Rows(numbers).size(), 1000u - 1 - static_cast<size_t>(i)) << numbers;
    EXPECT_EQ(table.Rows(texts).size(), 1000u - 1 - static_cast<size_t>(i)) << texts;
    EXPECT_EQ(table.Rows(absl::StrCat("NOT (", numbers, ")")).size(), 1 + static_cast<size_t>(i));
    EXPECT_EQ(table.Rows("tags CONTAINS 'rare' AND " + numbers).size(), 10u);
  }
}

TEST(FilterTest, FindsTheFewListsWithAValueWithoutALookAtTheOthers) {
  std::vector<Attributes> documents(5000);
  for (size_t row = 0; row < documents.size(); ++row) {
    AttributeList tags = {absl::StrCat("document", row), row % 100 == 3 ? "rare" : "common"};
    if (row % 2 == 0) tags.push_back(static_cast<int64_t>(row % 7));
    documents[row]["tags"] = std::move(tags);
    documents[row]["n"] = static_cast<int64_t>(row % 10);
  }
  const Table table(std::move(documents));
  const auto select = [&](std::string_view text) { return table.Select(**Filter::Parse(text), table.rows()); };
  for (const char* text :
       {"tags CONTAINS 'rare'", "tags CONTAINS ALL ('rare', 'document503')", "tags CONTAINS 'nothing'",
        "tags CONTAINS ANY ('document1', 'document4999', 'rare', 7.5)", "n > 2 AND tags CONTAINS 'rare'",
        "tags CONTAINS ALL ('rare', 2)", "tags CONTAINS 'document17' OR tags CONTAINS 'rare'"}) {
    EXPECT_TRUE(select(text).few) << text;
  }
  EXPECT_EQ(select("tags CONTAINS 'rare'").numbers.size(), 50u);
  EXPECT_THAT(select("tags CONTAINS ALL ('document503', 'rare')").numbers, ElementsAre(503));
  EXPECT_THAT(select("tags CONTAINS ALL ('document504', 504.0, 'common')").numbers, IsEmpty());
  EXPECT_THAT(select("tags CONTAINS ALL ('document504', 0.0, 'common')").numbers, ElementsAre(504));
  EXPECT_FALSE(select("tags CONTAINS 'common'").few);
  EXPECT_FALSE(select("NOT tags CONTAINS 'common'").few);
  EXPECT_EQ(table.Rows("tags CONTAINS 'common'").size(), 4950u);
  EXPECT_EQ(table.Rows("NOT tags CONTAINS 'common'").size(), 50u);
  EXPECT_EQ(table.Rows("tags CONTAINS ALL ('common', 3)").size(), table.Rows("tags CONTAINS 3").size());
}

TEST(FilterTest, ComparesTextsUntilNobodyWaitsAnyMore) {
  AttributeDictionary dictionary;
  const auto filter = Filter::Parse("a < 'b' OR a STARTS WITH 'c' OR a > 'd'");
  ASSERT_TRUE(filter.ok());
  int asked = 0;
  EXPECT_EQ((*filter)->CompareTexts(dictionary).size(), 3u);
  EXPECT_EQ((*filter)->CompareTexts(dictionary, [&asked] { return ++asked > 2; }).size(), 2u);
}

// Writers take the dictionary's lock between the runs of one comparison, and so does who wants it to end.
TEST(FilterTest, ComparesManyTextsInRuns) {
  AttributeDictionary dictionary;
  for (uint32_t i = 0; i < 2 * AttributeDictionary::kRun; ++i) dictionary.Add(absl::StrCat(i));
  const auto filter = Filter::Parse("a >= '1'");
  ASSERT_TRUE(filter.ok());
  int asked = 0;
  const auto write = [&] {
    dictionary.Add(absl::StrCat("new", ++asked));
    return false;
  };
  const auto all = (*filter)->CompareTexts(dictionary, write);
  EXPECT_EQ(asked, 3);  // before the three runs, of which the last one is of the first text that came
  const auto bits = [](const Filter::TextAnswers& answers) {
    uint32_t count = 0;
    for (const uint64_t word : answers.begin()->second) count += static_cast<uint32_t>(std::popcount(word));
    return count;
  };
  EXPECT_EQ(bits(all), 2 * AttributeDictionary::kRun);  // that one, but not "0", and none that came between the runs
  asked = 0;
  EXPECT_EQ(bits((*filter)->CompareTexts(dictionary, [&asked] { return ++asked > 1; })), AttributeDictionary::kRun - 1);
}

TEST(FilterTest, RefusesLongFilters) {
  const auto filter = Filter::Parse("a = '" + std::string(kMaxBuiltFilterBytes, 'x') + "'");
  ASSERT_FALSE(filter.ok());
  EXPECT_THAT(std::string(filter.status().message()), HasSubstr("has 8388614 bytes; the limit is 8388608"));
}

// No input may do more than fail.
TEST(FilterTest, SurvivesRandomText) {
  static constexpr std::string_view kPieces[] = {
      "a",    " ",        "(",          ")",     "=",     "!",           "<",    ">",     "'",    "\"",
      "`",    "\\",       "-",          "1",     ".",     "e",           ",",    " AND ", " OR ", " NOT ",
      " IN ", " EXISTS ", " CONTAINS ", " ANY ", " ALL ", " TIMESTAMP ", "true", "\xff",  "\xc3"};
  const Table table = TableOf({Int(1), Text("e"), Bool(true)});
  std::mt19937_64 random(3);
  uint32_t parsed = 0;
  for (int i = 0; i < 200000; ++i) {
    std::string text;
    for (uint64_t pieces = random() % 12; pieces > 0; --pieces) text += kPieces[random() % std::size(kPieces)];
    const auto filter = Filter::Parse(text);
    if (!filter.ok()) continue;
    ++parsed;
    EXPECT_EQ(table.Evaluate(**filter, table.rows()).at(0) & ~uint64_t{7}, 0u) << absl::CHexEscape(text);
  }
  EXPECT_GT(parsed, 50u);
}

}  // namespace
}  // namespace bebr
