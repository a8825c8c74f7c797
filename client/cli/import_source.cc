#include "client/cli/import_source.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"
#include "index/dataset/evaluation.h"
#include "index/dataset/json_row.h"

namespace bebr {
namespace {

constexpr size_t kCheckBytes = size_t{4} << 20;

absl::Status LineError(const std::string& path, size_t row, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrFormat("%s: line %d %s", path, row + 1, what));
}

absl::Status Shortened(const std::string& path, size_t row) {
  return absl::InvalidArgumentError(absl::StrFormat("%s: was shortened while it was read, to %d rows", path, row));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ImportSource>> ImportSource::Open(const ImportFiles& files) {
  ImportFiles found = files;
  found.ids = InBeirFolder(files.ids, kBeirCorpus);
  found.documents = InBeirFolder(files.documents, kBeirCorpus);
  std::unique_ptr<ImportSource> source(new ImportSource(std::move(found)));
  BEBR_RETURN_IF_ERROR(source->OpenFiles());
  return source;
}

absl::Status ImportSource::OpenFiles() {
  BEBR_ASSIGN_OR_RETURN(vectors_, VectorFile::Open(files_.vectors, !files_.any_values));
  const size_t rows = vectors_->rows();
  if (files_.offset > rows) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--offset %d: \"%s\" has %d rows", files_.offset, files_.vectors, rows));
  }
  end_ = files_.limit == 0 ? rows : files_.offset + std::min(files_.limit, rows - files_.offset);
  if (!files_.ids.empty()) {
    BEBR_ASSIGN_OR_RETURN(ids_, ReadIdTexts(files_.ids));
    BEBR_RETURN_IF_ERROR(CheckLines(files_.ids, "ids", ids_.size()));
  }
  if (!lines_path().empty()) {
    BEBR_RETURN_IF_ERROR(LookForIds());
    BEBR_ASSIGN_OR_RETURN(attributes_, LineReader::Open(lines_path()));
  }
  return SkipTo(files_.offset);
}

absl::Status ImportSource::LookForIds() {
  if (files_.attributes.empty()) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(LineReader lines, LineReader::Open(files_.attributes));
  BEBR_ASSIGN_OR_RETURN(const bool more, lines.Next(&line_));
  Attributes attributes;
  if (!more || !ParseJsonAttributes(line_, &attributes).empty() || !attributes.contains("id")) return absl::OkStatus();
  const auto* id = std::get_if<std::string>(&attributes["id"]);
  attributes_have_ids_ = ids_.empty() || id == nullptr || *id != ids_[0];
  return absl::OkStatus();
}

absl::Status ImportSource::SkipTo(size_t row) {
  std::vector<float> skipped(std::min<size_t>(row, 1024) * dims());
  while (row_ < row) {
    BEBR_ASSIGN_OR_RETURN(const size_t got, vectors_->Read(std::min<size_t>(row - row_, 1024), skipped.data()));
    if (got == 0) return Shortened(files_.vectors, row_);
    row_ += got;
  }
  for (size_t line = 0; attributes_.has_value() && line < row; ++line) {
    BEBR_ASSIGN_OR_RETURN(const bool more, attributes_->Next(&line_));
    if (!more) return CheckLines(lines_path(), lines_name(), line);
  }
  return absl::OkStatus();
}

absl::Status ImportSource::CheckLines(const std::string& path, const char* what, size_t lines) const {
  if (lines == vectors_->rows() || lines == end_) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat("\"%s\" has %d %s for %d vectors; there must be one for each", path,
                                                    lines, what, vectors_->rows()));
}

absl::Status ImportSource::Read(size_t max_rows, Rows* rows) {
  const size_t want = std::min(max_rows, end_ - row_);
  *rows = Rows{.first = row_};
  if (want == 0) return absl::OkStatus();
  rows->values.resize(want * dims());
  std::vector<RowFields> fields;
  BEBR_ASSIGN_OR_RETURN(rows->count, vectors_->ReadRows(want, rows->values.data(), &fields, !files_.no_attributes));
  if (rows->count == 0) return Shortened(files_.vectors, row_);
  fields.resize(rows->count);
  if (files_.documents.empty()) {
    BEBR_RETURN_IF_ERROR(TakeIds(fields, rows));
    BEBR_RETURN_IF_ERROR(TakeAttributes(fields, rows));
  } else {
    BEBR_RETURN_IF_ERROR(TakeDocuments(fields, rows));
  }
  row_ += rows->count;
  return absl::OkStatus();
}

absl::Status ImportSource::TakeIds(std::vector<RowFields>& fields, Rows* rows) {
  for (size_t i = 0; i < rows->count; ++i) {
    const size_t row = rows->first + i;
    std::optional<std::string>& own = fields[i].id;
    if (own.has_value() && !ids_.empty()) {
      return LineError(files_.vectors, row, "has an id of its own; leave out --ids, or the ids of the rows");
    }
    if (!rows_have_ids_.has_value()) rows_have_ids_ = own.has_value();
    if (*rows_have_ids_ != own.has_value()) {
      return LineError(files_.vectors, row,
                       *rows_have_ids_ ? "has no \"id\", but those before it have one"
                                       : "has an \"id\", but those before it have none");
    }
    rows->ids.push_back(own.has_value() ? *std::move(own) : ids_.empty() ? absl::StrCat(row) : ids_[row]);
  }
  return absl::OkStatus();
}

absl::Status ImportSource::TakeAttributes(std::vector<RowFields>& fields, Rows* rows) {
  for (size_t i = 0; i < rows->count; ++i) {
    Attributes& attributes = rows->attributes.emplace_back(std::move(fields[i].attributes));
    if (!attributes_.has_value()) continue;
    if (!attributes.empty()) {
      return LineError(files_.vectors, rows->first + i,
                       absl::StrFormat("has attributes of its own (\"%s\"); leave out --attributes, or pass over the "
                                       "rows' own with --no-attributes",
                                       attributes.begin()->first));
    }
    BEBR_ASSIGN_OR_RETURN(const bool more, attributes_->Next(&line_));
    if (!more) return CheckLines(lines_path(), lines_name(), rows->first + i);
    if (const std::string error = ParseJsonAttributes(line_, &attributes); !error.empty()) {
      return attributes_->Error(error);
    }
  }
  return absl::OkStatus();
}

absl::Status ImportSource::TakeDocuments(const std::vector<RowFields>& fields, Rows* rows) {
  for (size_t i = 0; i < rows->count; ++i) {
    if (fields[i].id.has_value() || !fields[i].attributes.empty()) {
      return LineError(files_.vectors, rows->first + i, "has an id or attributes of its own; leave out --documents");
    }
    BEBR_ASSIGN_OR_RETURN(const bool more, attributes_->Next(&line_));
    if (!more) return CheckLines(lines_path(), lines_name(), rows->first + i);
    std::string id;
    Attributes& attributes = rows->attributes.emplace_back();
    if (const std::string error = ParseJsonDocument(line_, &id, &attributes, !files_.no_attributes); !error.empty()) {
      return attributes_->Error(error);
    }
    rows->ids.push_back(std::move(id));
  }
  return absl::OkStatus();
}

absl::Status ImportSource::CheckEnd() {
  size_t lines = end_;
  while (attributes_.has_value()) {
    BEBR_ASSIGN_OR_RETURN(const bool more, attributes_->Next(&line_));
    if (!more) return CheckLines(lines_path(), lines_name(), lines);
    ++lines;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ImportSource::HasAttributes(ImportFiles files) {
  constexpr size_t kFirstRows = 100;
  files.any_values = true;  // which is another question
  BEBR_ASSIGN_OR_RETURN(const auto source, Open(files));
  Rows rows;
  BEBR_RETURN_IF_ERROR(source->Read(kFirstRows, &rows));
  return std::any_of(rows.attributes.begin(), rows.attributes.end(),
                     [](const Attributes& own) { return !own.empty(); });
}

absl::Status ImportSource::Check(const ImportFiles& files, const std::function<void(size_t)>& progress) {
  BEBR_ASSIGN_OR_RETURN(const auto source, Open(files));
  const size_t batch = std::clamp<size_t>(kCheckBytes / (source->dims() * sizeof(float)), 1, 10000);
  absl::flat_hash_map<std::string, size_t> seen;  // row by id
  Rows rows;
  while (source->row_ < source->end_) {
    BEBR_RETURN_IF_ERROR(source->Read(batch, &rows));
    const bool numbers = files.ids.empty() && files.documents.empty() && !source->rows_have_ids_.value_or(false);
    for (size_t i = 0; !numbers && i < rows.count; ++i) {
      const auto [first, is_new] = seen.emplace(std::move(rows.ids[i]), rows.first + i);
      if (is_new) continue;
      const std::string& path = !files.documents.empty() ? files.documents
                                : files.ids.empty()      ? files.vectors
                                                         : files.ids;
      return LineError(path, rows.first + i,
                       absl::StrFormat("has the id \"%s\" of line %d: the one would replace the other", first->first,
                                       first->second + 1));
    }
    progress(source->row_ - files.offset);
  }
  return source->CheckEnd();
}

}  // namespace bebr
