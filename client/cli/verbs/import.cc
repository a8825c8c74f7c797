#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "client/upsert_stream.h"
#include "index/base/status_macros.h"
#include "index/dataset/vector_file.h"

namespace bebr {
namespace {

using Documents = google::protobuf::RepeatedPtrField<v1::Document>;

struct Options {
  std::string name;
  std::string file;
  std::string ids_file;
  std::string attributes_file;
  std::string version;
  size_t batch = 0;  // 0: as many as make about 1 MiB
  size_t window = 8;
  size_t limit = 0;
  bool merge = false;
  bool skip_unknown = false;
};

// Reads one JSON object of attributes a line.
class AttributeFile {
 public:
  static absl::StatusOr<std::optional<AttributeFile>> Open(const std::string& path) {
    if (path.empty()) return std::optional<AttributeFile>();
    AttributeFile file(path);
    if (!file.stream_) return absl::NotFoundError(absl::StrFormat("attributes file \"%s\" cannot be read", path));
    return std::optional<AttributeFile>(std::move(file));
  }

  absl::Status ReadInto(v1::Document* document) {
    std::string line;
    ++line_;
    if (!std::getline(stream_, line)) return Error("is missing: the file has fewer lines than there are vectors");
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return Error("is not a JSON object");
    for (const auto& [name, value] : json.items()) {
      v1::AttributeValue& attribute = (*document->mutable_attributes())[name];
      if (value.is_string()) {
        attribute.set_string_value(value.get<std::string>());
      } else if (value.is_boolean()) {
        attribute.set_bool_value(value);
      } else if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
        return Error(absl::StrFormat("has \"%s\", a whole number beyond 64 bits", name));
      } else if (value.is_number_integer()) {
        attribute.set_int_value(value);
      } else if (value.is_number_float()) {
        attribute.set_double_value(value);
      } else {
        return Error(absl::StrFormat("has \"%s\", which is neither text, a number, nor true or false", name));
      }
    }
    return absl::OkStatus();
  }

 private:
  explicit AttributeFile(std::string path) : path_(std::move(path)), stream_(path_) {}
  absl::Status Error(std::string_view what) const {
    return absl::InvalidArgumentError(absl::StrFormat("line %d of \"%s\" %s", line_, path_, what));
  }

  std::string path_;
  std::ifstream stream_;
  size_t line_ = 0;
};

size_t BatchRows(const Options& options, size_t dims) {
  constexpr size_t kMessageBytes = 1 << 20;
  constexpr size_t kMaxRows = 1000;
  if (options.batch != 0) return options.batch;
  return std::clamp<size_t>(kMessageBytes / (dims * sizeof(float)), 1, kMaxRows);
}

// What is said before a server is asked: that version takes vectors of this length.
absl::Status CheckDims(const v1::Collection& collection, const Options& options, const VectorFile& file) {
  BEBR_ASSIGN_OR_RETURN(const v1::Version version, FindVersion(collection, options.version));
  if (version.input_dims() == file.dims()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("\"%s\" has vectors of %d dimensions; version \"%s\" of collection \"%s\" takes %d", options.file,
                      file.dims(), version.name(), collection.name(), version.input_dims()));
}

absl::Status UnknownIds(const Options& options, const UpsertStream& stream) {
  return absl::NotFoundError(absl::StrFormat(
      "%s of the documents are not in collection \"%s\" and were not written: %s%s; %s others were. A merge writes "
      "only to "
      "documents that exist; --skip-unknown passes over the rest",
      WithCommas(stream.unknown()), options.name, absl::StrJoin(stream.unknown_ids(), ", "),
      stream.unknown() > stream.unknown_ids().size() ? ", ..." : "", WithCommas(stream.acknowledged())));
}

absl::StatusOr<nlohmann::ordered_json> Import(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const auto file, VectorFile::Open(options.file));
  const size_t rows = options.limit == 0 ? file->rows() : std::min(options.limit, file->rows());
  BEBR_ASSIGN_OR_RETURN(const auto ids, RowIds(options.ids_file, rows));
  BEBR_ASSIGN_OR_RETURN(auto attributes, AttributeFile::Open(options.attributes_file));
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.GetCollection(options.name));
  BEBR_RETURN_IF_ERROR(CheckDims(collection, options, *file));

  const size_t dims = file->dims();
  const size_t batch = BatchRows(options, dims);
  std::vector<float> values(batch * dims);
  const auto stream = client.StreamUpsert(options.name, options.window,
                                          options.merge ? v1::UPSERT_MODE_MERGE : v1::UPSERT_MODE_REPLACE);
  Progress progress("import", "documents", rows, command.json);
  for (size_t row = 0; row < rows;) {
    BEBR_ASSIGN_OR_RETURN(const size_t got, file->Read(std::min(batch, rows - row), values.data()));
    if (got == 0) break;
    Documents documents;
    documents.Reserve(static_cast<int>(got));
    for (size_t i = 0; i < got; ++i) {
      v1::Document* document = documents.Add();
      document->set_id(ids[row + i]);
      if (attributes.has_value()) BEBR_RETURN_IF_ERROR(attributes->ReadInto(document));
      v1::Embedding* embedding = document->add_embeddings();
      embedding->set_version(options.version);
      SetVector(values.data() + i * dims, dims, embedding->mutable_vector());
    }
    BEBR_RETURN_IF_ERROR(stream->Send(std::move(documents)));
    row += got;
    progress.Set(stream->acknowledged() + stream->unknown());
  }
  BEBR_RETURN_IF_ERROR(stream->Finish());
  const double seconds = progress.End(stream->acknowledged() + stream->unknown());
  if (stream->unknown() > 0 && !options.skip_unknown) return UnknownIds(options, *stream);
  return nlohmann::ordered_json{
      {"collection", options.name},
      {"documents", stream->acknowledged()},
      {"created", stream->created()},
      {"unknown", stream->unknown()},
      {"seconds", seconds},
      {"documents_per_s", static_cast<double>(stream->acknowledged()) / std::max(seconds, 1e-9)}};
}

absl::Status Run(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const auto summary, Import(command, options));
  if (command.json) {
    PrintJson(summary);
    return absl::OkStatus();
  }
  std::printf("%s %s documents (%s) in %.1f s: %s a second\n", options.merge ? "merged into" : "imported",
              WithCommas(summary["documents"]).c_str(),
              options.merge ? (WithCommas(summary["unknown"]) + " unknown").c_str()
                            : (WithCommas(summary["created"]) + " new").c_str(),
              summary["seconds"].get<double>(),
              WithCommas(static_cast<uint64_t>(summary["documents_per_s"].get<double>())).c_str());
  return absl::OkStatus();
}

}  // namespace

void AddImport(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, command, "import", "write the vectors of a file to a collection",
                           [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("file", options->file, ".npy, .fvecs, .jsonl, .hdf5 or IDX (-ubyte, -ubyte.gz)")->required();
  verb->add_option("--ids", options->ids_file, "one id a line; without it the row number is the id");
  verb->add_option("--attributes", options->attributes_file, "one JSON object a line");
  verb->add_option("--version", options->version, "version of the embeddings; the collection's default without it");
  CLI::Option* merge = verb->add_flag("--merge", options->merge,
                                      "add the embeddings to documents that exist, which keep their attributes and "
                                      "embeddings of other versions");
  verb->add_flag("--skip-unknown", options->skip_unknown, "with --merge: documents that do not exist are no error")
      ->needs(merge);
  verb->add_option("--batch", options->batch, "documents a message; 0: about 1 MiB")->check(CLI::Range(0, 10000));
  verb->add_option("--window", options->window, "messages on their way at a time")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  verb->add_option("--limit", options->limit, "only the first rows; 0: all");
}

}  // namespace bebr
