#include "server/rpc/filter_text.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/engine.h"

namespace bebr {
namespace {

// Writes a tree as text. Everything stands in parentheses of its own, so that nothing hangs on what binds tighter.
class Writer {
 public:
  std::string Take() { return std::move(text_); }

  // `depth`: of nodes in each other, this one included.
  absl::Status Write(const std::string& path, const v1::Filter& filter, size_t depth = 1) {
    if (depth > kMaxFilterTreeDepth) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "filter_tree is nested deeper than %d conditions, the limit: put what all_of and any_of hold into one list, "
          "and leave out a none_of of a none_of",
          kMaxFilterTreeDepth));
    }
    if (text_.size() > kMaxBuiltFilterBytes) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "filter_tree is too large: written as text it has more than %d bytes, the limit", kMaxBuiltFilterBytes));
    }
    switch (filter.node_case()) {
      case v1::Filter::kAllOf:
        return WriteList(path + ".all_of", filter.all_of(), " AND ", depth);
      case v1::Filter::kAnyOf:
        return WriteList(path + ".any_of", filter.any_of(), " OR ", depth);
      case v1::Filter::kNoneOf:
        text_ += "NOT ";
        return Write(path + ".none_of", filter.none_of(), depth + 1);
      case v1::Filter::kTest:
        return WriteTest(path + ".test", filter.test());
      case v1::Filter::NODE_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError(
        absl::StrFormat("%s is empty; set one of all_of, any_of, none_of and test", path));
  }

 private:
  absl::Status WriteList(const std::string& path, const v1::FilterList& list, const char* between, size_t depth) {
    BEBR_RETURN_IF_ERROR(ValidateCount(path + ".filters", static_cast<size_t>(list.filters_size()), kMaxFilterValues));
    text_ += '(';
    for (int i = 0; i < list.filters_size(); ++i) {
      if (i > 0) text_ += between;
      BEBR_RETURN_IF_ERROR(Write(absl::StrFormat("%s.filters[%d]", path, i), list.filters(i), depth + 1));
    }
    text_ += ')';
    return absl::OkStatus();
  }

  absl::Status WriteTest(const std::string& path, const v1::FilterTest& test) {
    const size_t count = static_cast<size_t>(test.values_size());
    const bool is_list = test.operator_() == v1::FILTER_OPERATOR_IN ||
                         test.operator_() == v1::FILTER_OPERATOR_CONTAINS_ANY ||
                         test.operator_() == v1::FILTER_OPERATOR_CONTAINS_ALL;
    const size_t wanted = test.operator_() == v1::FILTER_OPERATOR_EXISTS    ? 0
                          : test.operator_() == v1::FILTER_OPERATOR_BETWEEN ? 2
                                                                            : 1;
    if (is_list) {
      BEBR_RETURN_IF_ERROR(ValidateCount(path + ".values", count, kMaxFilterValues));
    } else if (count != wanted) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s.values has %d entries; this operator takes %d", path, count, wanted));
    }
    BEBR_RETURN_IF_ERROR(WriteName(path, test));
    const char* word = WordOf(test.operator_());
    if (word == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s.operator is %d; it is 1 to 13", path, static_cast<int>(test.operator_())));
    }
    text_ += word;
    if (is_list) text_ += '(';
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) text_ += is_list ? "," : " AND ";
      BEBR_RETURN_IF_ERROR(WriteValue(absl::StrFormat("%s.values[%d]", path, i), test.values(static_cast<int>(i))));
    }
    if (is_list) text_ += ')';
    return absl::OkStatus();
  }

  absl::Status WriteName(const std::string& path, const v1::FilterTest& test) {
    if (test.of_id()) {
      if (!test.attribute().empty())
        return absl::InvalidArgumentError(absl::StrFormat("%s has attribute and of_id; set one of them", path));
      text_ += "id";
      return absl::OkStatus();
    }
    if (test.attribute().empty() || test.attribute().size() > kMaxAttributeNameBytes) {
      return absl::InvalidArgumentError(absl::StrFormat("%s.attribute has %d bytes; it has 1 to %d", path,
                                                        test.attribute().size(), kMaxAttributeNameBytes));
    }
    WriteQuoted(test.attribute(), '`');
    return absl::OkStatus();
  }

  static const char* WordOf(v1::FilterOperator op) {
    switch (op) {
      case v1::FILTER_OPERATOR_EQUAL:
        return " = ";
      case v1::FILTER_OPERATOR_NOT_EQUAL:
        return " != ";
      case v1::FILTER_OPERATOR_LESS:
        return " < ";
      case v1::FILTER_OPERATOR_LESS_EQUAL:
        return " <= ";
      case v1::FILTER_OPERATOR_GREATER:
        return " > ";
      case v1::FILTER_OPERATOR_GREATER_EQUAL:
        return " >= ";
      case v1::FILTER_OPERATOR_IN:
        return " IN ";
      case v1::FILTER_OPERATOR_EXISTS:
        return " EXISTS";
      case v1::FILTER_OPERATOR_BETWEEN:
        return " BETWEEN ";
      case v1::FILTER_OPERATOR_STARTS_WITH:
        return " STARTS WITH ";
      case v1::FILTER_OPERATOR_CONTAINS:
        return " CONTAINS ";
      case v1::FILTER_OPERATOR_CONTAINS_ANY:
        return " CONTAINS ANY ";
      case v1::FILTER_OPERATOR_CONTAINS_ALL:
        return " CONTAINS ALL ";
      default:
        return nullptr;
    }
  }

  absl::Status WriteValue(const std::string& path, const v1::AttributeValue& value) {
    switch (value.kind_case()) {
      case v1::AttributeValue::kStringValue:
        WriteQuoted(value.string_value(), '"');
        return absl::OkStatus();
      case v1::AttributeValue::kIntValue:
        absl::StrAppend(&text_, value.int_value());
        return absl::OkStatus();
      case v1::AttributeValue::kBoolValue:
        text_ += value.bool_value() ? "true" : "false";
        return absl::OkStatus();
      case v1::AttributeValue::kDoubleValue:
        return WriteDouble(path, value.double_value());
      case v1::AttributeValue::kTimestampValue:
        text_ += "TIMESTAMP ";
        WriteQuoted(value.timestamp_value(), '"');
        return absl::OkStatus();
      case v1::AttributeValue::kListValue:
        return absl::InvalidArgumentError(
            absl::StrFormat("%s is a list; give its values one by one, with an operator that takes several", path));
      case v1::AttributeValue::KIND_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError(absl::StrFormat("%s has no value", path));
  }

  absl::Status WriteDouble(const std::string& path, double value) {
    if (!std::isfinite(value)) {
      return absl::InvalidArgumentError(absl::StrFormat("%s is %f; it must be finite", path, value));
    }
    std::string digits = absl::StrFormat("%.17g", value);
    if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
    text_ += digits;
    return absl::OkStatus();
  }

  void WriteQuoted(std::string_view text, char quote) {
    text_ += quote;
    for (const char c : text) {
      if (c == quote || c == '\\') text_ += '\\';
      text_ += c;
    }
    text_ += quote;
  }

  std::string text_;
};

}  // namespace

absl::StatusOr<std::string> FilterText(const v1::Filter& tree) {
  Writer writer;
  BEBR_RETURN_IF_ERROR(writer.Write("filter_tree", tree));
  return writer.Take();
}

absl::StatusOr<std::string> ReadFilter(std::string_view filter, const v1::Filter* tree) {
  if (tree != nullptr && !filter.empty())
    return absl::InvalidArgumentError("filter and filter_tree are both set; set one of them");
  if (tree != nullptr) return FilterText(*tree);
  if (filter.size() <= kMaxFilterBytes) return std::string(filter);
  return absl::InvalidArgumentError(
      absl::StrFormat("filter has %d bytes; the limit is %d. Longer ones, of long lists, go as a tree (filter_tree)",
                      filter.size(), kMaxFilterBytes));
}

}  // namespace bebr
