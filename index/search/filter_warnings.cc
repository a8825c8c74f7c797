// What is to be said of filters that are false whatever the documents say.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/search/filter.h"
#include "index/search/filter_parser.h"

namespace bebr {
namespace {

// Whether some row has a value that the test can be true of.
bool HasType(const AttributeColumns::Column& column, uint32_t rows, const Filter::Node& test) {
  const auto has = [&](AttributeType type) { return column.Has(type, rows); };
  const auto has_scalar = [&] {
    return has(AttributeType::kString) || has(AttributeType::kInt) || has(AttributeType::kDouble) ||
           has(AttributeType::kBool) || has(AttributeType::kTimestamp);
  };
  if (IsContains(test.op)) return has(AttributeType::kList);
  if (OfGroups(test.op)) return has_scalar() || has(AttributeType::kList);
  if (test.literals.empty()) return has_scalar() || has(AttributeType::kList) || has(AttributeType::kStored);
  return std::any_of(test.literals.begin(), test.literals.end(), [&](const AttributeScalar& literal) {
    if (std::holds_alternative<std::string>(literal)) return has(AttributeType::kString);
    if (std::holds_alternative<bool>(literal)) return has(AttributeType::kBool);
    if (std::holds_alternative<Timestamp>(literal)) return has(AttributeType::kTimestamp);
    return has(AttributeType::kInt) || has(AttributeType::kDouble);
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
    return column != segment->attributes->end() && column->second->Has(type, segment->rows);
  });
}

// Bits of FilterFacts; those after kSomeStored are looked for where nothing holds.
constexpr uint8_t kNamed = 1, kHolds = 2, kSomeStored = 4, kSomeLists = 8, kSomeTimestamps = 16, kSomeTexts = 32,
                  kSomeNumbers = 64, kSomeBooleans = 128;

// How the attribute of a test that is true of none of its values could be meant; empty: nobody knows.
std::string_view HintOf(const Filter::Node& test, uint8_t facts) {
  if (IsContains(test.op)) return "; it has no lists: compare it by = or IN";
  if ((facts & kSomeLists) != 0) return "; it has lists: ask what they hold by CONTAINS";
  if (!std::holds_alternative<Timestamp>(test.literals.front()) && (facts & kSomeTimestamps) != 0) {
    return "; it has timestamps: write TIMESTAMP \"2026-01-31T12:00:00Z\"";
  }
  if ((facts & kSomeTexts) != 0) return "; it has texts: they stand in quotes";
  if ((facts & kSomeNumbers) != 0) return "; it has numbers: they stand without quotes";
  if ((facts & kSomeBooleans) != 0) return "; it has true and false: they stand without quotes";
  return "";
}

// What is to be said of a test whose attribute no row of the segments has, or none with a value that it can be true of.
std::string SentenceOf(const Filter::Node& test, uint8_t facts) {
  const bool grouped = OfGroups(test.op);
  const bool stored = (facts & kSomeStored) != 0;
  if (stored && grouped) {
    return absl::StrFormat("attribute \"%s\" is stored only; nothing is grouped or counted by it", test.name);
  }
  if (stored) {
    return absl::StrFormat("attribute \"%s\" is stored only; a filter can but ask whether it EXISTS", test.name);
  }
  return (facts & kNamed) != 0 && !test.literals.empty() && !grouped
             ? absl::StrFormat("no document has an attribute \"%s\" of the type of %s%s", test.name, TypeName(test),
                               HintOf(test, facts))
             : absl::StrFormat("no document has an attribute \"%s\"", test.name);
}

uint8_t FactsOf(const Filter::Node& test, absl::Span<const SegmentView* const> segments) {
  bool named = false, holds = false, stored = false;
  for (const SegmentView* segment : segments) {
    const auto column = segment->attributes->find(test.name);
    if (column == segment->attributes->end()) continue;
    named = true;
    holds = holds || HasType(*column->second, segment->rows, test);
    const bool compares = !test.literals.empty() || OfGroups(test.op);
    stored = stored || (compares && column->second->Has(AttributeType::kStored, segment->rows));
  }
  uint8_t facts = (named ? kNamed : 0) | (holds ? kHolds : 0) | (stored ? kSomeStored : 0);
  if (holds || !named) return facts;
  static constexpr std::pair<AttributeType, uint8_t> kTypes[] = {
      {AttributeType::kList, kSomeLists},     {AttributeType::kTimestamp, kSomeTimestamps},
      {AttributeType::kString, kSomeTexts},   {AttributeType::kInt, kSomeNumbers},
      {AttributeType::kDouble, kSomeNumbers}, {AttributeType::kBool, kSomeBooleans}};
  for (const auto& [type, bit] : kTypes) facts |= SomeHave(segments, test.name, type) ? bit : 0;
  return facts;
}

void AddOnce(std::string sentence, std::vector<std::string>& sentences) {
  if (std::find(sentences.begin(), sentences.end(), sentence) == sentences.end()) {
    sentences.push_back(std::move(sentence));
  }
}

}  // namespace

FilterFacts Filter::Facts(absl::Span<const SegmentView* const> segments) const {
  FilterFacts facts;
  if (segments.empty()) return facts;
  for (const Node* test : AttributeTestsOf(*root_)) facts.push_back(FactsOf(*test, segments));
  return facts;
}

FilterFacts Filter::OfBase(const FilterFacts& facts) const {
  FilterFacts of_base;
  const std::vector<const Node*> tests = AttributeTestsOf(*root_);
  for (size_t i = 0; i < std::min(tests.size(), facts.size()); ++i) {
    if (!OfGroups(tests[i]->op)) of_base.push_back(facts[i]);
  }
  return of_base;
}

Filter::Warnings Filter::Unknown(absl::Span<const SegmentView* const> segments) const {
  return Unknown(Facts(segments));
}

Filter::Warnings Filter::Unknown(const FilterFacts& facts) const {
  Warnings warnings;
  const std::vector<const Node*> tests = AttributeTestsOf(*root_);
  for (size_t i = 0; i < std::min(tests.size(), facts.size()); ++i) {
    if ((facts[i] & kHolds) == 0) {
      AddOnce(SentenceOf(*tests[i], facts[i]), warnings.unknown);
    } else if ((facts[i] & kSomeStored) != 0) {
      AddOnce(absl::StrFormat("values of attribute \"%s\" that are stored only, such as texts of more than %d bytes, "
                              "are %s",
                              tests[i]->name, kMaxIndexedTextBytes,
                              OfGroups(tests[i]->op) ? "in no group and not counted" : "compared with nothing"),
              warnings.stored);
    }
  }
  return warnings;
}

}  // namespace bebr
