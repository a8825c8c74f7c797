// What is to be said of filters that are false whatever the documents say.
#include <algorithm>
#include <string>
#include <string_view>
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

}  // namespace

Filter::Warnings Filter::Unknown(absl::Span<const SegmentView* const> segments) const {
  Warnings warnings;
  if (segments.empty()) return warnings;
  for (const Node* test : AttributeTestsOf(*root_)) {
    bool named = false, holds = false, stored = false;
    for (const SegmentView* segment : segments) {
      const auto column = segment->attributes->find(test->name);
      if (column == segment->attributes->end()) continue;
      named = true;
      holds = holds || HasType(*column->second, segment->rows, *test);
      const bool compares = !test->literals.empty() || OfGroups(test->op);
      stored = stored || (compares && column->second->Has(AttributeType::kStored, segment->rows));
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

}  // namespace bebr
