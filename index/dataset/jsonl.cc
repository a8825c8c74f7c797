// .jsonl: one JSON value a line, either an array of numbers or an object with that array under "embedding" or "values",
// and with other fields.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/dataset/input_file.h"
#include "index/dataset/json_row.h"
#include "index/dataset/line_reader.h"

namespace bebr {
namespace {

absl::Status ParseLine(const LineReader& lines, const std::string& line, std::vector<float>* values, RowFields* fields,
                       bool with_attributes) {
  const std::string error = ParseJsonRow(line, values, fields, with_attributes);
  return error.empty() ? absl::OkStatus() : lines.Error(error);
}

class JsonlFile final : public VectorFile {
 public:
  JsonlFile(LineReader lines, size_t rows, size_t dims) : lines_(std::move(lines)), rows_(rows), dims_(dims) {}

  size_t rows() const override { return rows_; }
  size_t dims() const override { return dims_; }
  absl::StatusOr<size_t> Read(size_t max_rows, float* out) override {
    return ReadRows(max_rows, out, nullptr, /*with_attributes=*/false);
  }
  absl::StatusOr<size_t> ReadRows(size_t max_rows, float* out, std::vector<RowFields>* fields,
                                  bool with_attributes) override {
    const size_t count = std::min(max_rows, rows_ - row_);
    if (fields != nullptr) fields->resize(count);
    for (size_t i = 0; i < count; ++i) {
      BEBR_RETURN_IF_ERROR(ReadRow(out + i * dims_, fields == nullptr ? nullptr : &(*fields)[i], with_attributes));
    }
    row_ += count;
    return count;
  }

 private:
  absl::Status ReadRow(float* out, RowFields* fields, bool with_attributes) {
    BEBR_ASSIGN_OR_RETURN(const bool more, lines_.Next(&line_));
    if (!more) {
      return InvalidFile(lines_.path(),
                         absl::StrFormat("was shortened while it was read, to %d lines", lines_.number()));
    }
    BEBR_RETURN_IF_ERROR(ParseLine(lines_, line_, &values_, fields, with_attributes));
    if (values_.size() != dims_) {
      return InvalidFile(lines_.path(), absl::StrFormat("line %d has %d values; the first line has %d", lines_.number(),
                                                        values_.size(), dims_));
    }
    std::memcpy(out, values_.data(), dims_ * sizeof(float));
    return absl::OkStatus();
  }

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
  BEBR_ASSIGN_OR_RETURN(LineReader counter, LineReader::Open(path));
  std::string line;
  std::vector<float> values;
  size_t rows = 0;
  for (;; ++rows) {
    BEBR_ASSIGN_OR_RETURN(const bool more, counter.Next(&line));
    if (!more) break;
    if (absl::StripAsciiWhitespace(line).empty())
      return InvalidFile(path, absl::StrFormat("line %d is empty", rows + 1));
    if (rows == 0) BEBR_RETURN_IF_ERROR(ParseLine(counter, line, &values, nullptr, /*with_attributes=*/false));
  }
  BEBR_RETURN_IF_ERROR(CheckShape(path, rows, rows == 0 ? 1 : values.size()));
  BEBR_ASSIGN_OR_RETURN(LineReader lines, LineReader::Open(path));
  return std::make_unique<JsonlFile>(std::move(lines), rows, values.size());
}

}  // namespace bebr
