#include "index/train/training_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"
#include "index/dataset/vector_file.h"
#include "index/fit/row_stream.h"
#include "index/train/row_lengths.h"
#include "index/train/trainer.h"

namespace bebr {
namespace {

constexpr size_t kLeastPairs = 10000;  // fewer are learnt by heart
constexpr size_t kQueries = 2000;      // held out of a large input
constexpr size_t kFitRows = 1000000;
constexpr size_t kReadRows = 4096;

// Whether row `i` of `rows` is one of `count` evenly spaced ones.
bool IsPicked(size_t i, size_t rows, size_t count) { return (i + 1) * count / rows > i * count / rows; }

// The rows of a file, some thousand at a time.
absl::Status ForEachRow(const std::string& path, absl::FunctionRef<void(size_t row, const float* values)> take) {
  BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<VectorFile> file, VectorFile::Open(path));
  std::vector<float> block(kReadRows * file->dims());
  for (size_t row = 0;;) {
    BEBR_ASSIGN_OR_RETURN(const size_t got, file->Read(kReadRows, block.data()));
    if (got == 0) return absl::OkStatus();
    for (size_t i = 0; i < got; ++i) take(row++, block.data() + i * file->dims());
  }
}

// The rows of a file but for those that are held out, evenly spaced where not all are wanted.
class FileRows : public RowStream {
 public:
  FileRows(std::string path, size_t rows, size_t dims, size_t wanted)
      : path_(std::move(path)), in_file_(rows), dims_(dims), rows_(std::min(wanted, rows - kQueries)) {}
  size_t rows() const override { return rows_; }
  size_t dims() const override { return dims_; }
  absl::Status ForEachBlock(Take take) const override {
    size_t at = 0;
    return ForEachRow(path_, [&](size_t row, const float* values) {
      if (IsPicked(row, in_file_, kQueries)) return;
      if (IsPicked(at++, in_file_ - kQueries, rows_)) take(values, 1);
    });
  }

 private:
  const std::string path_;
  const size_t in_file_, dims_, rows_;
};

// What is held of a large input.
struct Sample {
  Matrix documents, queries;
};

absl::StatusOr<Sample> ReadSample(const std::string& path, size_t rows, size_t dims, Metric metric) {
  Sample sample{{0, dims, {}}, {0, dims, {}}};
  const auto add = [&](Matrix& matrix, const float* values) {
    matrix.values.insert(matrix.values.end(), values, values + dims);
    ++matrix.rows;
  };
  sample.documents.values.reserve(Trainer::kTrainingDocuments * dims);
  RowLengths lengths(metric);
  size_t at = 0;
  BEBR_RETURN_IF_ERROR(ForEachRow(path, [&](size_t row, const float* values) {
    lengths.Add(values, dims);
    if (IsPicked(row, rows, kQueries)) {
      add(sample.queries, values);
    } else if (IsPicked(at++, rows - kQueries, Trainer::kTrainingDocuments)) {
      add(sample.documents, values);
    }
  }));
  BEBR_RETURN_IF_ERROR(lengths.Check());
  return sample;
}

absl::StatusOr<QueryPairs> ReadPairs(const TrainOptions& options, const Matrix& documents) {
  QueryPairs pairs;
  if (options.pairs.empty()) return pairs;
  BEBR_ASSIGN_OR_RETURN(pairs.queries, ReadVectors(options.pairs));
  if (pairs.queries.rows < kLeastPairs) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--pairs has ", pairs.queries.rows, " queries; fewer than ", kLeastPairs,
        " are learnt by heart, and recall falls. Leave --pairs out, and give real queries as --queries: the model is "
        "then chosen by them"));
  }
  if (pairs.queries.dims != documents.dims) {
    return absl::InvalidArgumentError(
        absl::StrCat("the pairs' queries have ", pairs.queries.dims, " dims, the input has ", documents.dims));
  }
  if (options.pair_rows.empty()) {
    for (size_t i = 0; i < pairs.queries.rows; ++i) pairs.rows.push_back(static_cast<uint32_t>(i));
  } else {
    std::ifstream in(options.pair_rows);
    for (uint32_t row = 0; in >> row;) pairs.rows.push_back(row);
    if (!in.eof())
      return absl::InvalidArgumentError(
          absl::StrCat("'", options.pair_rows, "' line ", pairs.rows.size() + 1, " is not a row number"));
  }
  if (pairs.rows.size() != pairs.queries.rows) {
    return absl::InvalidArgumentError(
        absl::StrCat(pairs.rows.size(), " row numbers for ", pairs.queries.rows, " pairs"));
  }
  for (const uint32_t row : pairs.rows) {
    if (row >= documents.rows)
      return absl::InvalidArgumentError(
          absl::StrCat("a pair names row ", row, "; the input has ", documents.rows, " rows"));
  }
  return pairs;
}

absl::StatusOr<OlderVersion> ReadOlder(const TrainOptions& options) {
  if (options.paired.empty()) {
    return absl::InvalidArgumentError(
        "--compatible-with needs --paired: the older version's embeddings of the rows of --input");
  }
  if (!options.pairs.empty()) return absl::InvalidArgumentError("--pairs cannot be used with --compatible-with");
  BEBR_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(options.compatible_with));
  OlderVersion older;
  BEBR_ASSIGN_OR_RETURN(older.model, ParseModel(bytes));
  BEBR_ASSIGN_OR_RETURN(older.documents, ReadVectors(options.paired));
  return older;
}

// Trains on a sample of an input that is larger than what training uses, fitted to more of it.
absl::StatusOr<TrainResult> TrainOnSample(const TrainOptions& options, const VectorFile& input, Matrix queries) {
  const size_t rows = input.rows(), dims = input.dims();
  BEBR_ASSIGN_OR_RETURN(Sample sample, ReadSample(options.input, rows, dims, options.metric));
  if (queries.rows == 0) queries = std::move(sample.queries);
  const FileRows all(options.input, rows, dims, options.fit_rows == 0 ? kFitRows : options.fit_rows);
  BEBR_ASSIGN_OR_RETURN(TrainResult result, Train(options, std::move(sample.documents), std::move(queries), {}, &all));
  result.rows = rows;
  return result;
}

absl::StatusOr<TrainResult> TrainAsAsked(const TrainOptions& options, Matrix queries) {
  if (options.compatible_with.empty() && options.pairs.empty()) {
    BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<VectorFile> input, VectorFile::Open(options.input));
    if (input->rows() > Trainer::kTrainingDocuments + kQueries)
      return TrainOnSample(options, *input, std::move(queries));
  }
  BEBR_ASSIGN_OR_RETURN(Matrix documents, ReadVectors(options.input));
  if (!options.compatible_with.empty()) {
    BEBR_ASSIGN_OR_RETURN(OlderVersion older, ReadOlder(options));
    return TrainCompatible(options, std::move(older), std::move(documents), std::move(queries));
  }
  BEBR_ASSIGN_OR_RETURN(QueryPairs pairs, ReadPairs(options, documents));
  return Train(options, std::move(documents), std::move(queries), std::move(pairs));
}

std::string CheckpointPath(const TrainOptions& options) { return options.output + ".checkpoint"; }

// What can be known before minutes of work: whether the model can be written, and whether there is what to resume.
absl::Status CheckOutput(const TrainOptions& options) {
  const std::string temporary = options.output + ".part", checkpoint = CheckpointPath(options);
  std::error_code error;
  if (std::filesystem::is_directory(options.output, error)) {
    return absl::InvalidArgumentError(absl::StrCat("--output '", options.output, "' is a directory; name a file"));
  }
  errno = 0;
  if (!std::ofstream(temporary, std::ios::binary | std::ios::app)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--output '", options.output, "' cannot be written: ", std::strerror(errno)));
  }
  std::filesystem::remove(temporary, error);
  const bool exists = std::filesystem::exists(checkpoint, error);
  if (options.resume && !exists) {
    return absl::NotFoundError(
        absl::StrCat("there is no checkpoint '", checkpoint, "' to resume from; leave --resume out to start anew"));
  }
  if (!options.resume && exists && options.progress) {
    std::fprintf(stderr, "starts anew: '%s' of an interrupted run will be written over (--resume goes on from it)\n",
                 checkpoint.c_str());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrainResult> TrainFiles(const TrainOptions& options) {
  BEBR_RETURN_IF_ERROR(CheckOutput(options));
  Matrix queries;
  if (!options.queries.empty()) {
    BEBR_ASSIGN_OR_RETURN(queries, ReadVectors(options.queries));
  }
  BEBR_ASSIGN_OR_RETURN(TrainResult result, TrainAsAsked(options, std::move(queries)));
  if (options.keeps != nullptr) *options.keeps = true;
  BEBR_RETURN_IF_ERROR(WriteModel(result.model, options.output));
  // Not before: a full disk is to cost no training.
  std::error_code ignored;
  if (result.steps > 0) std::filesystem::remove(CheckpointPath(options), ignored);
  return result;
}

absl::Status WriteModel(const Model& model, const std::string& path) {
  BEBR_ASSIGN_OR_RETURN(const std::string file, SerializeModel(model));
  const std::string temporary = path + ".part";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out.write(file.data(), static_cast<std::streamsize>(file.size()));
  out.close();
  const absl::Status written =
      out ? RenameSynced(temporary, path) : absl::UnavailableError(absl::StrCat("'", path, "' cannot be written"));
  if (!written.ok()) std::remove(temporary.c_str());  // the first error is the one that counts
  return written;
}

}  // namespace bebr
