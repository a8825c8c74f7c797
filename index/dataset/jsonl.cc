// .jsonl: one JSON value a line, either an array of numbers or an object with that array under "embedding" or "values".
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/dataset/input_file.h"

namespace bebr {
namespace {

using nlohmann::json;

constexpr size_t kMaxLineBytes = 4 << 20;

// Gives a file's lines one after the other, without their line ends; at most kMaxLineBytes each.
class LineReader {
 public:
  explicit LineReader(InputFile file)
      : file_(std::move(file)), buffer_(std::clamp<uint64_t>(file_.size(), 1, kReadBufferBytes)) {}

  // False at the end. The line lives until the next call.
  absl::StatusOr<bool> Next(std::string* line) {
    line->clear();
    for (;;) {
      if (begin_ == end_) {
        BEBR_ASSIGN_OR_RETURN(end_, file_.Read(buffer_.size(), buffer_.data()));
        begin_ = 0;
        if (end_ == 0) break;
      }
      const char* start = buffer_.data() + begin_;
      const auto* feed = static_cast<const char*>(std::memchr(start, '\n', end_ - begin_));
      const size_t length = feed != nullptr ? static_cast<size_t>(feed - start) : end_ - begin_;
      if (line->size() + length > kMaxLineBytes) {
        return InvalidFile(path(), absl::StrFormat("line %d has more than %d bytes", number_ + 1, kMaxLineBytes));
      }
      line->append(start, length);
      begin_ += length + (feed != nullptr ? 1 : 0);
      if (feed != nullptr) {
        ++number_;
        return true;
      }
    }
    if (line->empty()) return false;
    ++number_;
    return true;
  }

  size_t number() const { return number_; }  // of the line last given, from 1
  const std::string& path() const { return file_.path(); }

 private:
  InputFile file_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t number_ = 0;
};

// Takes the numbers of the embedding out of a line as the parser meets them, without building a tree.
class EmbeddingHandler final : public nlohmann::json_sax<json> {
 public:
  explicit EmbeddingHandler(std::vector<float>* values) : values_(values) {}

  bool found() const { return found_; }
  const std::string& error() const { return error_; }

  bool null() override { return Other("null"); }
  bool boolean(bool) override { return Other("true or false"); }
  bool number_integer(number_integer_t value) override { return Number(static_cast<double>(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Number(static_cast<double>(value)); }
  bool number_float(number_float_t value, const string_t&) override { return Number(value); }
  bool string(string_t&) override { return Other("a string"); }
  bool binary(binary_t&) override { return Other("bytes"); }
  bool start_object(size_t) override {
    ++depth_;
    return Other("an object");
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1) wanted_ = name == "embedding" || name == "values";
    return true;
  }
  bool start_array(size_t) override {
    if (inside_) return Fail("the embedding holds another array; numbers are expected");
    if (depth_ == 0 || (depth_ == 1 && wanted_)) {
      if (found_) return Fail("there are two embeddings; give 'embedding' or 'values', not both");
      found_ = inside_ = true;
    }
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    inside_ = false;  // only numbers stand inside, so this ends the embedding or another array
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return Fail(absl::StrFormat("it is no JSON (byte %d)", position));
  }

 private:
  bool Number(double value) {
    if (!inside_) return true;
    if (values_->size() == kMaxFileDims) return Fail(absl::StrFormat("there are more than %d values", kMaxFileDims));
    values_->push_back(static_cast<float>(value));
    return true;
  }
  bool Other(const char* what) {
    return !inside_ || Fail(absl::StrCat("the embedding holds ", what, "; numbers are expected"));
  }
  bool Fail(std::string error) {
    if (error_.empty()) error_ = std::move(error);
    return false;
  }

  std::vector<float>* values_;
  size_t depth_ = 0;
  bool wanted_ = false;
  bool found_ = false;
  bool inside_ = false;
  std::string error_;
};

absl::Status ParseLine(const LineReader& lines, std::string_view line, std::vector<float>* values) {
  values->clear();
  EmbeddingHandler handler(values);
  std::string error;
  try {
    json::sax_parse(line, &handler);
    error = handler.error();
  } catch (const json::exception&) {  // e.g. a number out of range
    error = "it is no JSON";
  }
  if (error.empty() && !handler.found())
    error = "there is no array, and no object with an array under 'embedding' or 'values'";
  if (error.empty() && values->empty()) error = "the array is empty";
  if (error.empty()) return absl::OkStatus();
  return InvalidFile(lines.path(), absl::StrFormat("line %d: %s", lines.number(), error));
}

class JsonlFile final : public VectorFile {
 public:
  JsonlFile(LineReader lines, size_t rows, size_t dims) : lines_(std::move(lines)), rows_(rows), dims_(dims) {}

  size_t rows() const override { return rows_; }
  size_t dims() const override { return dims_; }
  absl::StatusOr<size_t> Read(size_t max_rows, float* out) override {
    const size_t count = std::min(max_rows, rows_ - row_);
    for (size_t i = 0; i < count; ++i) {
      BEBR_ASSIGN_OR_RETURN(const bool more, lines_.Next(&line_));
      if (!more)
        return InvalidFile(lines_.path(), absl::StrFormat("was shortened while it was read, to %d lines", row_ + i));
      BEBR_RETURN_IF_ERROR(ParseLine(lines_, line_, &values_));
      if (values_.size() != dims_) {
        return InvalidFile(lines_.path(), absl::StrFormat("line %d has %d values; the first line has %d",
                                                          lines_.number(), values_.size(), dims_));
      }
      std::memcpy(out + i * dims_, values_.data(), dims_ * sizeof(float));
    }
    row_ += count;
    return count;
  }

 private:
  LineReader lines_;
  size_t rows_;
  size_t dims_;
  size_t row_ = 0;
  std::string line_;
  std::vector<float> values_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<VectorFile>> OpenJsonl(const std::string& path) {
  // One pass counts the lines; the second, by Read, parses them.
  BEBR_ASSIGN_OR_RETURN(InputFile first, InputFile::Open(path));
  LineReader counter(std::move(first));
  std::string line;
  std::vector<float> values;
  size_t rows = 0;
  for (;; ++rows) {
    BEBR_ASSIGN_OR_RETURN(const bool more, counter.Next(&line));
    if (!more) break;
    if (absl::StripAsciiWhitespace(line).empty())
      return InvalidFile(path, absl::StrFormat("line %d is empty", rows + 1));
    if (rows == 0) BEBR_RETURN_IF_ERROR(ParseLine(counter, line, &values));
  }
  BEBR_RETURN_IF_ERROR(CheckShape(path, rows, rows == 0 ? 1 : values.size()));
  BEBR_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  return std::make_unique<JsonlFile>(LineReader(std::move(file)), rows, values.size());
}

}  // namespace bebr
