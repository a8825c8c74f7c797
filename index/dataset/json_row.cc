#include "index/dataset/json_row.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/dataset/input_file.h"

namespace bebr {
namespace {

using nlohmann::json;

// Takes what is wanted out of a line as the parser meets it, without building a tree. `values` is null for a line of
// attributes alone, `fields` for a line of which only the embedding is wanted.
class RowHandler final : public nlohmann::json_sax<json> {
 public:
  RowHandler(std::vector<float>* values, RowFields* fields, bool with_attributes)
      : values_(values), fields_(fields), with_attributes_(with_attributes) {}

  bool found() const { return found_; }
  const std::string& error() const { return error_; }

  bool null() override {
    if (in_list_ || in_time_) return Fail(absl::StrFormat("\"%s\" holds null; %s", name_, kValues));
    if (IsId()) return Fail("\"id\" is null; an id is text or a whole number");
    return !inside_ || Fail("the embedding holds null; numbers are expected");
  }
  bool boolean(bool value) override { return Scalar("true or false", value); }
  bool number_integer(number_integer_t value) override {
    return inside_ ? Number(static_cast<double>(value)) : WholeNumber(value);
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (inside_) return Number(static_cast<double>(value));
    if (TakesValue() && value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return TooLarge();
    return WholeNumber(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    if (inside_) return Number(value);
    // The parser makes a float of a whole number that is too large.
    if (TakesValue() && text.find_first_of(".eE") == std::string::npos) return TooLarge();
    return Scalar("a number", value);
  }
  bool string(string_t& value) override {
    if (!inside_ && IsId()) return Id(value);
    return Scalar("a string", std::move(value));
  }
  bool binary(binary_t&) override { return Fail("it holds bytes"); }
  // An object is a timestamp's, where there may be a value.
  bool start_object(size_t) override {
    if (in_time_) return NoValue("an object");
    if (!in_list_ && (!IsField() || IsId())) return Container("an object");
    in_time_ = true;
    time_.reset();
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    if (!in_time_) return true;
    in_time_ = false;
    return time_.has_value() ? Put(*time_) : NoValue("an object");
  }
  bool key(string_t& name) override {
    if (in_time_ && name != "timestamp") return NoValue("an object");
    if (depth_ == 1) name_ = std::move(name);
    return true;
  }
  bool start_array(size_t) override {
    if (inside_) return Fail("the embedding holds another array; numbers are expected");
    if (values_ != nullptr && (depth_ == 0 || (depth_ == 1 && (name_ == "embedding" || name_ == "values")))) {
      if (found_) return Fail("there are two embeddings; give 'embedding' or 'values', not both");
      found_ = inside_ = true;
      ++depth_;
      return true;
    }
    if (in_list_ || in_time_) return NoValue("a list in a list");
    if (!IsField() || IsId()) return Container("a list");
    in_list_ = true;
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    inside_ = false;  // only numbers stand inside, so this ends the embedding or another array
    if (!in_list_) return true;
    in_list_ = false;
    return Store(std::exchange(list_, {}));
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return Fail(absl::StrFormat("it is no JSON (byte %d)", position));
  }

 private:
  // Whether the value met now is one of a field.
  bool IsField() const { return fields_ != nullptr && depth_ == 1 && (with_attributes_ || IsId()); }
  bool TakesValue() const { return IsField() || in_list_ || in_time_; }
  bool IsId() const { return fields_ != nullptr && depth_ == 1 && values_ != nullptr && name_ == "id"; }

  bool Number(double value) {
    if (values_->size() == kMaxFileDims) return Fail(absl::StrFormat("there are more than %d values", kMaxFileDims));
    values_->push_back(static_cast<float>(value));
    return true;
  }
  bool WholeNumber(int64_t value) { return IsId() ? Id(absl::StrCat(value)) : Scalar("a number", value); }
  bool TooLarge() { return Fail(absl::StrFormat("\"%s\" is a whole number beyond 64 bits", name_)); }
  bool Id(std::string id) {
    if (fields_->id.has_value()) return Fail("\"id\" stands there twice");
    if (const absl::Status status = ValidateId("\"id\"", id); !status.ok()) return Fail(std::string(status.message()));
    fields_->id = std::move(id);
    return true;
  }
  template <typename T>
  bool Scalar(const char* what, T value) {
    if (inside_) return Fail(absl::StrCat("the embedding holds ", what, "; numbers are expected"));
    if (in_time_) return Time(AttributeScalar(std::move(value)));
    if (!in_list_ && !IsField()) return true;
    if (!in_list_ && IsId()) return Fail(absl::StrCat("\"id\" is ", what, "; it must be text or a whole number"));
    return Put(AttributeScalar(std::move(value)));
  }
  bool Time(const AttributeScalar& value) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return NoValue("an object");
    const absl::StatusOr<Timestamp> time = ParseTimestamp(*text);
    if (!time.ok()) return Fail(absl::StrFormat("\"%s\" %s", name_, time.status().message()));
    time_ = *time;
    return true;
  }
  // A value of the field met last, or of its list.
  bool Put(AttributeScalar value) {
    if (!in_list_) return Store(ToValue(std::move(value)));
    list_.push_back(std::move(value));
    return true;
  }
  bool Store(AttributeValue value) {
    const bool is_new = fields_->attributes.emplace(name_, std::move(value)).second;
    return is_new || Fail(absl::StrFormat("\"%s\" stands there twice", name_));
  }
  bool NoValue(const char* what) { return Fail(absl::StrFormat("\"%s\" is or holds %s; %s", name_, what, kValues)); }
  bool Container(const char* what) {
    if (inside_) return Fail(absl::StrCat("the embedding holds ", what, "; numbers are expected"));
    if (IsField()) return Fail(absl::StrFormat("\"%s\" is %s; it must be text or a whole number", name_, what));
    ++depth_;
    return true;
  }
  bool Fail(std::string error) {
    if (error_.empty()) error_ = std::move(error);
    return false;
  }

  static constexpr const char* kValues =
      "an attribute is text, a number, true or false, {\"timestamp\": \"2026-01-31T12:00:00Z\"}, or a list of such";

  std::vector<float>* values_;
  RowFields* fields_;
  bool with_attributes_;
  size_t depth_ = 0;
  std::string name_;      // of the field met last
  bool found_ = false;    // the embedding
  bool inside_ = false;   // the embedding
  bool in_list_ = false;  // of an attribute
  AttributeList list_;
  bool in_time_ = false;  // in the object that a timestamp is
  std::optional<Timestamp> time_;
  std::string error_;
};

std::string Parse(std::string_view line, RowHandler* handler) {
  try {
    json::sax_parse(line, handler);
    return handler->error();
  } catch (const json::exception&) {  // e.g. a number out of range
    return "it is no JSON";
  }
}

// What no collection takes. How much of it filters may compare is for the collection's schema to say.
std::string ProblemOf(const Attributes& attributes) {
  if (ValidateAttributes("it", attributes).ok()) return {};
  AttributeSchema stored;
  for (const auto& [name, value] : attributes) stored[name].storage = AttributeStorage::kStored;
  return std::string(ValidateAttributes("it", attributes, stored).message());
}

// Finds whole numbers beyond 64 bits, of which the parser makes floats. Everything else it lets pass.
class LargeNumbers final : public nlohmann::json_sax<json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t& text) override {
    return text.find_first_of(".eE") != std::string::npos;
  }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }
};

// What is wrong with an id.
std::string TakeId(const json& document, const char* name, std::string* id) {
  const auto found = document.find(name);
  if (found == document.end() || !found->is_string()) return absl::StrFormat("there is no text \"%s\"", name);
  *id = found->get<std::string>();
  return std::string(ValidateId(absl::StrFormat("\"%s\"", name), *id).message());
}

// What stands beside the id in a line of a BEIR corpus, as attributes.
json BeirAttributes(const json& document) {
  json attributes = json::object();
  if (const auto metadata = document.find("metadata"); metadata != document.end() && metadata->is_object())
    attributes = *metadata;
  for (const auto& [name, value] : document.items()) {
    if (name != "_id" && !(name == "metadata" && value.is_object()) && value != "") attributes[name] = value;
  }
  return attributes;
}

}  // namespace

std::string ParseJsonRow(std::string_view line, std::vector<float>* values, RowFields* fields, bool with_attributes) {
  values->clear();
  if (fields != nullptr) *fields = RowFields();
  RowHandler handler(values, fields, with_attributes);
  if (std::string error = Parse(line, &handler); !error.empty()) return error;
  if (!handler.found()) return "there is no array, and no object with an array under 'embedding' or 'values'";
  if (values->empty()) return "the array is empty";
  if (fields == nullptr) return {};
  return ProblemOf(fields->attributes);
}

std::string ParseJsonAttributes(std::string_view line, Attributes* attributes) {
  const absl::string_view text = absl::StripLeadingAsciiWhitespace(absl::string_view(line.data(), line.size()));
  if (text.empty() || text.front() != '{') return "it is no JSON object";
  RowFields fields;
  RowHandler handler(nullptr, &fields, /*with_attributes=*/true);
  if (std::string error = Parse(line, &handler); !error.empty()) return error;
  *attributes = std::move(fields.attributes);
  return ProblemOf(*attributes);
}

std::string ParseJsonDocument(std::string_view line, std::string* id, Attributes* attributes, bool with_attributes) {
  attributes->clear();
  const json document = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return "it is no JSON object";
  if (LargeNumbers large; !json::sax_parse(line, &large)) return "it holds a whole number beyond 64 bits";
  if (document.contains("_id")) {
    if (std::string error = TakeId(document, "_id", id); !error.empty() || !with_attributes) return error;
    return ParseJsonAttributes(BeirAttributes(document).dump(), attributes);
  }
  for (const auto& [name, value] : document.items()) {
    if (name != "id" && name != "attributes") {
      return absl::StrFormat("\"%s\" is unknown here; there are \"id\" and \"attributes\"", name);
    }
  }
  if (std::string error = TakeId(document, "id", id); !error.empty()) return error;
  const auto values = document.find("attributes");
  if (values == document.end() || !with_attributes) return {};
  if (!values->is_object()) return "\"attributes\" is no JSON object";
  return ParseJsonAttributes(values->dump(), attributes);
}

}  // namespace bebr
