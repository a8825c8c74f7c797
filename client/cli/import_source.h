// Where the rows of an import come from: embeddings, ids and attributes.
#ifndef BEBR_CLIENT_CLI_IMPORT_SOURCE_H_
#define BEBR_CLIENT_CLI_IMPORT_SOURCE_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/dataset/line_reader.h"
#include "index/dataset/vector_file.h"
#include "index/types/document.h"

namespace bebr {

// Which rows of which files.
struct ImportFiles {
  std::string vectors;
  std::string ids;             // one a line; empty: the rows' own (.jsonl), or row numbers
  std::string attributes;      // one JSON object a line; empty: the rows' own (.jsonl), or none
  std::string documents;       // one object a line with id and attributes, or a BEIR folder, instead of both; or empty
  size_t offset = 0;           // rows that are passed over
  size_t limit = 0;            // rows after these; 0: all
  bool no_attributes = false;  // the rows' own are passed over
  bool any_values = false;     // NaN and infinity too, which the server refuses
};

// An ImportSource gives the rows of some files as documents, a bounded number at a time. Every line of the ids and
// attributes must belong to a row and every row to a line: row i is line i + 1, whatever offset and limit are; files
// that end with the last row asked for will do too.
//
// Errors: those of VectorFile; INVALID_ARGUMENT naming file and line for ids that are empty, too long, not UTF-8, there
// twice or missing in some rows, for attributes that are no such, and where lines and rows do not match. Thread safety:
// none. Cost: holds the ids of an ids file.
class ImportSource {
 public:
  struct Rows {
    size_t first = 0;  // number of the first row
    size_t count = 0;
    std::vector<float> values;  // count * dims
    std::vector<std::string> ids;
    std::vector<Attributes> attributes;
  };

  static absl::StatusOr<std::unique_ptr<ImportSource>> Open(const ImportFiles& files);
  // Reads everything once and keeps nothing, so that what is wrong is known before anything is written. Calls
  // `progress` with the rows done.
  static absl::Status Check(const ImportFiles& files, const std::function<void(size_t)>& progress);

  // Whether some of the first rows that are asked for have attributes.
  static absl::StatusOr<bool> HasAttributes(ImportFiles files);

  size_t dims() const { return vectors_->dims(); }
  std::optional<Metric> metric() const { return vectors_->metric(); }
  // Whether the first line of attributes has an "id" that is not the document's; known once Open is done.
  // Whether the first line of attributes has an "id" that is not the first of --ids.
  bool attributes_have_ids() const { return attributes_have_ids_; }
  // The rows [begin, end) that are asked for.
  size_t begin() const { return files_.offset; }
  size_t end() const { return end_; }
  // The next rows, at most `max_rows`; none at the end.
  absl::Status Read(size_t max_rows, Rows* rows);

 private:
  explicit ImportSource(ImportFiles files) : files_(std::move(files)) {}
  absl::Status OpenFiles();
  absl::Status LookForIds();
  absl::Status SkipTo(size_t row);
  absl::Status TakeIds(std::vector<RowFields>& fields, Rows* rows);
  absl::Status TakeAttributes(std::vector<RowFields>& fields, Rows* rows);
  absl::Status TakeDocuments(const std::vector<RowFields>& fields, Rows* rows);
  const std::string& lines_path() const { return files_.documents.empty() ? files_.attributes : files_.documents; }
  const char* lines_name() const { return files_.documents.empty() ? "lines of attributes" : "lines"; }
  // INVALID_ARGUMENT unless a file of `lines` lines has one for each row.
  absl::Status CheckLines(const std::string& path, const char* what, size_t lines) const;
  // After the last row: whether the attributes end where they should.
  absl::Status CheckEnd();

  const ImportFiles files_;
  std::unique_ptr<VectorFile> vectors_;
  std::vector<std::string> ids_;          // of the ids file
  std::optional<LineReader> attributes_;  // also of documents
  std::string line_;
  bool attributes_have_ids_ = false;
  size_t end_ = 0;
  size_t row_ = 0;                     // the next one
  std::optional<bool> rows_have_ids_;  // of the first row
};

}  // namespace bebr

#endif  // BEBR_CLIENT_CLI_IMPORT_SOURCE_H_
