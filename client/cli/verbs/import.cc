#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/attribute.h"
#include "client/cli/command.h"
#include "client/cli/import_source.h"
#include "client/cli/progress.h"
#include "client/upsert_stream.h"
#include "index/base/status_macros.h"
#include "index/dataset/vector_file.h"

namespace bebr {
namespace {

using Documents = google::protobuf::RepeatedPtrField<v1::Document>;

struct Options {
  std::string name;
  ImportFiles files;
  std::string version;
  size_t batch = 0;  // 0: as many as make about 1 MiB
  size_t window = 8;
  bool merge = false;
  bool clear_attributes = false;
  bool skip_unknown = false;
  bool replace_all = false;
  bool if_absent = false;
  std::string if_newer_by;
  bool partial = false;
  uint32_t model_checksum = 0;
  bool unchecked = false;
  uint32_t patience_s = 60;
};

constexpr size_t kMessageBytes = 1 << 20;  // of a message, unless a document or --batch makes it more

size_t BatchRows(const Options& options, size_t dims) {
  constexpr size_t kMaxRows = 1000;
  if (options.batch != 0) return options.batch;
  return std::clamp<size_t>(kMessageBytes / (dims * sizeof(float)), 1, kMaxRows);
}

// What is told before anything is written: whether the version takes vectors of this length, and, as a note, by another
// metric than the file says.
absl::Status CheckVectors(const v1::Collection& collection, const Options& options, const ImportSource& source) {
  BEBR_ASSIGN_OR_RETURN(const v1::Version version, FindVersion(collection, options.version));
  const size_t dims = source.dims();
  BEBR_ASSIGN_OR_RETURN(const Metric metric, MetricOf(version));
  if (const Metric said = source.metric().value_or(metric); said != metric) {
    std::fprintf(stderr,
                 "bebr: note: the vectors of \"%s\" are made to be compared by %s; version \"%s\" compares by %s\n",
                 options.files.vectors.c_str(), std::string(ToString(said)).c_str(), version.name().c_str(),
                 std::string(ToString(metric)).c_str());
  }
  if (version.input_dims() == dims) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("\"%s\" has vectors of %d dimensions; version \"%s\" of collection \"%s\" takes %d",
                      options.files.vectors, dims, version.name(), collection.name(), version.input_dims()));
}

// A document is written with the attributes that come with it: none, where the files are another model's vectors alone.
absl::Status CheckAttributes(const v1::Collection& collection, const Options& options) {
  if (options.merge || options.clear_attributes || options.if_absent || collection.documents() == 0 ||
      options.version.empty() || options.version == collection.default_version())
    return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(const bool brought, ImportSource::HasAttributes(options.files));
  if (brought) return absl::OkStatus();
  return UsageError(absl::StrFormat(
      "\"%s\" brings no attributes, and documents of \"%s\" that exist would lose theirs: --merge adds the embeddings "
      "of version \"%s\" to them and keeps all else; --clear-attributes is for who wants that. Nothing was written",
      options.files.vectors, options.name, options.version));
}

void WarnOfIds(const Options& options, const ImportSource& source) {
  if (!source.attributes_have_ids()) return;
  std::fprintf(stderr,
               "bebr: warning: the lines of \"%s\" have an \"id\", which becomes an attribute and not the document's "
               "id; %s\n",
               options.files.attributes.c_str(),
               options.files.ids.empty() ? "--ids takes ids from a file" : "the first is another than that of --ids");
}

absl::Status CheckFiles(const Command& command, const Options& options, size_t rows) {
  Progress progress("check", "rows", rows, command.json);
  absl::Status status = ImportSource::Check(options.files, [&](size_t done) { progress.Set(done); });
  progress.Clear();
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrFormat("%s%s. Nothing was written", status.message(),
                                      IsNotFinite(status) ? "; --partial leaves out such rows and names them" : ""));
}

Documents MakeDocuments(const ImportSource::Rows& rows, size_t dims, const std::string& version) {
  Documents documents;
  documents.Reserve(static_cast<int>(rows.count));
  for (size_t i = 0; i < rows.count; ++i) {
    v1::Document* document = documents.Add();
    document->set_id(rows.ids[i]);
    for (const auto& [name, value] : rows.attributes[i]) {
      SetAttribute(value, &(*document->mutable_attributes())[name]);
    }
    v1::Embedding* embedding = document->add_embeddings();
    embedding->set_version(version);
    SetVector(rows.values.data() + i * dims, dims, embedding->mutable_vector());
  }
  return documents;
}

// Documents that are written, or will not be.
uint64_t Settled(const UpsertStream& stream) {
  return stream.acknowledged() + stream.unknown() + stream.skipped() + stream.wrong();
}

// In messages that end where attributes have made them large enough, which no number of rows tells.
absl::Status SendInParts(Documents documents, UpsertStream& stream) {
  Documents part;
  size_t bytes = 0;
  for (v1::Document& document : documents) {
    const size_t size = document.ByteSizeLong();
    if (bytes > 0 && bytes + size > 2 * kMessageBytes) {
      BEBR_RETURN_IF_ERROR(stream.Send(std::exchange(part, Documents())));
      bytes = 0;
    }
    *part.Add() = std::move(document);
    bytes += size;
  }
  return stream.Send(std::move(part));
}

absl::Status SendAll(const Options& options, ImportSource& source, UpsertStream& stream, Progress& progress) {
  const size_t batch = BatchRows(options, source.dims());
  ImportSource::Rows rows;
  for (;;) {
    BEBR_RETURN_IF_ERROR(source.Read(batch, &rows));
    if (rows.count == 0) return absl::OkStatus();
    if (WasInterrupted()) return absl::CancelledError("interrupted");
    Documents documents = MakeDocuments(rows, source.dims(), options.version);
    BEBR_RETURN_IF_ERROR(options.batch != 0 ? stream.Send(std::move(documents))
                                            : SendInParts(std::move(documents), stream));
    progress.Set(Settled(stream));
  }
}

// Which row the server refused: ""; or "row 70 of "x.npy" (line 71 of "x.jsonl"): ".
std::string RefusedRow(const absl::Status& status, const Options& options, const ImportSource& source,
                       const UpsertStream& stream) {
  constexpr absl::string_view kEntry = "documents[";
  uint64_t index = 0;
  absl::string_view text = status.message();
  const std::optional<uint64_t> before = stream.sent_before_refusal();
  if (!before.has_value() || !absl::ConsumePrefix(&text, kEntry) ||
      !absl::SimpleAtoi(text.substr(0, text.find(']')), &index)) {
    return "";
  }
  const uint64_t row = source.begin() + *before + index;
  const std::string& lines = options.files.documents.empty() ? options.files.attributes : options.files.documents;
  return absl::StrFormat("row %d of \"%s\"%s: ", row, options.files.vectors,
                         lines.empty() ? "" : absl::StrFormat(" (line %d of \"%s\")", row + 1, lines));
}

// Of rows that the server has answered, those that it did not write: ""; or ", but for 3 that were not written (3
// wrong)".
std::string LeftOut(const UpsertStream& stream) {
  const uint64_t left = Settled(stream) - stream.acknowledged();
  if (left == 0) return "";
  std::vector<std::string> why;
  if (stream.wrong() > 0) why.push_back(absl::StrFormat("%d wrong", stream.wrong()));
  if (stream.skipped() > 0) why.push_back(absl::StrFormat("%d by the condition", stream.skipped()));
  if (stream.unknown() > 0) why.push_back(absl::StrFormat("%d unknown", stream.unknown()));
  return absl::StrFormat(", but for %d that were not written (%s)", left, absl::StrJoin(why, ", "));
}

// What must come before the import can go on: "", or " once ..."; nothing where this program cannot know.
std::optional<std::string> MendOf(const absl::Status& status, const Options& options, const UpsertStream& stream,
                                  bool row_refused, bool of_files) {
  const bool of_row = row_refused || IsNotFinite(status);
  if (of_row && !options.partial) return " once that row is mended, or with --partial, which leaves it out";
  if (of_row) return " once that row is mended";
  const bool refused = stream.sent_before_refusal().has_value();  // also by a full disk, which is UNAVAILABLE
  if (absl::IsCancelled(status) || (MayPassLater(status) && !refused)) return "";
  if (of_files) return " once the file is mended";
  return std::nullopt;
}

// What is there now, and how to go on.
std::string StateOf(const Options& options, const ImportSource& source, const UpsertStream& stream,
                    const std::optional<std::string>& mend) {
  const uint64_t settled = stream.acknowledged_in_order(), next = source.begin() + settled;
  const uint64_t all = Settled(stream), others = all > settled ? all - settled : 0;
  if (settled == 0) {
    return absl::StrFormat(
        "%s%s",
        others == 0 ? absl::StrFormat("No row of \"%s\" is known to be in \"%s\"", options.files.vectors, options.name)
                    : absl::StrFormat("%d rows of \"%s\" are in \"%s\", but not the first ones%s", others,
                                      options.files.vectors, options.name, LeftOut(stream)),
        mend.has_value() ? absl::StrCat("; start again", *mend) : "");
  }
  const std::string left = LeftOut(stream);
  return absl::StrFormat(
      "Rows %d to %d of \"%s\" are in \"%s\"%s%s%s; `bebr import` with --offset %d goes on%s", source.begin(), next - 1,
      options.files.vectors, options.name, left.empty() ? absl::StrFormat(", %d documents", settled) : "",
      others == 0 ? "" : absl::StrFormat(", and %d of later rows, which may be written again", others), left, next,
      mend.value_or(" once that is mended"));
}

// The error with its row and the state.
absl::Status WithState(const absl::Status& status, const Options& options, const ImportSource& source,
                       const UpsertStream& stream, bool of_files) {
  const std::string row = RefusedRow(status, options, source, stream);
  absl::Status told(status.code(), absl::StrCat(row, status.message(), ". ",
                                                StateOf(options, source, stream,
                                                        MendOf(status, options, stream, !row.empty(), of_files))));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { told.SetPayload(url, payload); });
  return told;
}

absl::Status UnknownIds(const Options& options, const UpsertStream& stream) {
  return absl::NotFoundError(absl::StrFormat(
      "%s of the documents are not in collection \"%s\" and were not written: %s%s; %s others were. A merge writes "
      "only to documents that exist; --skip-unknown passes over the rest",
      WithCommas(stream.unknown()), options.name,
      absl::StrJoin(stream.unknown_ids(), ", ",
                    [](std::string* out, const std::string& id) { absl::StrAppend(out, IdText(id)); }),
      stream.unknown() > stream.unknown_ids().size() ? ", ..." : "", WithCommas(stream.acknowledged())));
}

v1::UpsertMode ModeOf(const Options& options) {
  if (options.merge) return v1::UPSERT_MODE_MERGE;
  return options.replace_all ? v1::UPSERT_MODE_REPLACE_ALL : v1::UPSERT_MODE_REPLACE;
}

// Of documents that were left out, the first ones.
nlohmann::ordered_json ErrorsOf(const UpsertStream& stream) {
  auto errors = nlohmann::ordered_json::array();
  for (const v1::DocumentError& error : stream.errors()) {
    errors.push_back({{"id", error.id()}, {"message", error.message()}});
  }
  return errors;
}

// Says that the server is waited for, and that it is back.
void TellAway(UpsertStream& stream, const Options& options, Progress& progress) {
  stream.OnAway([&](const absl::Status& why) {
    progress.Clear();
    if (why.ok()) {
      std::fprintf(stderr, "bebr: the server is back: the import goes on\n");
    } else {
      std::fprintf(stderr, "bebr: the server is away (%s); waiting up to %d s for it\n",
                   std::string(why.message()).c_str(), static_cast<int>(options.patience_s));
    }
  });
}

absl::StatusOr<nlohmann::ordered_json> Import(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const auto source, ImportSource::Open(options.files));
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.GetCollection(options.name));
  BEBR_RETURN_IF_ERROR(CheckVectors(collection, options, *source));
  BEBR_RETURN_IF_ERROR(CheckAttributes(collection, options));
  const size_t rows = source->end() - source->begin();
  if (!options.unchecked && !options.partial) BEBR_RETURN_IF_ERROR(CheckFiles(command, options, rows));

  WarnOfIds(options, *source);
  NoticeInterrupts();  // an import ends between two messages
  v1::UpsertOptions conditions;
  conditions.set_only_if_absent(options.if_absent);
  conditions.set_only_if_newer_by(options.if_newer_by);
  conditions.set_partial(options.partial);
  conditions.set_model_checksum(options.model_checksum);
  const auto stream =
      client.StreamUpsert(options.name, options.window, ModeOf(options), conditions, absl::Seconds(options.patience_s));
  Progress progress("import", "documents", rows, command.json);
  TellAway(*stream, options, progress);
  absl::Status status = SendAll(options, *source, *stream, progress);
  const absl::Status finished = stream->Finish();  // also after an error of a file: what was sent is acknowledged
  status.Update(finished);
  if (!status.ok()) return WithState(status, options, *source, *stream, /*of_files=*/finished.ok());
  const double seconds = progress.End(Settled(*stream));
  if (stream->unknown() > 0 && !options.skip_unknown) return UnknownIds(options, *stream);
  return nlohmann::ordered_json{
      {"collection", options.name},
      {"documents", stream->acknowledged()},
      {"created", stream->created()},
      {"unknown", stream->unknown()},
      {"skipped", stream->skipped()},
      {"wrong", stream->wrong()},
      {"errors", ErrorsOf(*stream)},
      {"seconds", seconds},
      {"documents_per_s", static_cast<double>(stream->acknowledged()) / std::max(seconds, 1e-9)}};
}

absl::Status Run(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const auto summary, Import(command, options));
  if (command.json) {
    PrintJson(summary);
    return absl::OkStatus();
  }
  for (const auto& error : summary["errors"]) {
    const std::string id = IdText(error["id"].get<std::string>());
    std::fprintf(stderr, absl::StartsWith(id, "\"") ? "left out: %s: %s\n" : "left out: \"%s\": %s\n", id.c_str(),
                 error["message"].get<std::string>().c_str());
  }
  const uint64_t wrong = summary["wrong"];
  const uint64_t skipped = summary["skipped"];
  if (skipped > 0) std::printf("%s documents stay as they were, by the condition\n", WithCommas(skipped).c_str());
  std::printf("%s %s documents (%s) in %.1f s: %s a second%s\n", options.merge ? "merged into" : "imported",
              WithCommas(summary["documents"]).c_str(),
              options.merge ? (WithCommas(summary["unknown"]) + " unknown").c_str()
                            : (WithCommas(summary["created"]) + " new").c_str(),
              summary["seconds"].get<double>(),
              WithCommas(static_cast<uint64_t>(summary["documents_per_s"].get<double>())).c_str(),
              wrong > 0 ? absl::StrCat("; ", WithCommas(wrong), " that are wrong were left out").c_str() : "");
  return absl::OkStatus();
}

void AddSending(CLI::App* verb, Options& options) {
  CLI::Option* merge = verb->add_flag("--merge", options.merge,
                                      "add the embeddings to documents that exist, which keep their attributes and "
                                      "embeddings of other versions");
  verb->add_flag("--skip-unknown", options.skip_unknown, "with --merge: documents that do not exist are no error")
      ->needs(merge);
  verb->add_flag("--replace-all", options.replace_all,
                 "documents that exist lose the embeddings of versions that do not come, too")
      ->excludes(merge);
  verb->add_flag("--clear-attributes", options.clear_attributes,
                 "with a --version that is not the default and files without attributes: documents that exist lose "
                 "theirs")
      ->excludes(merge);
  verb->add_flag("--if-absent", options.if_absent, "documents that exist stay as they are")->excludes(merge);
  verb->add_option("--if-newer,--if-newer-by", options.if_newer_by,
                   "name of an integer attribute: so do documents whose is not less than the new one")
      ->excludes(merge);
  verb->add_flag("--partial", options.partial,
                 "documents that the server finds wrong are left out and named, which is no failure: the last line, "
                 "and \"wrong\" of "
                 "--json, say how many; without it the first one ends the import");
  verb->add_option("--model-checksum", options.model_checksum,
                   "refuse everything unless this is the version's model_checksum (bebr version list --json)")
      ->check(WholeNumber());
  verb->add_flag("--unchecked", options.unchecked,
                 "do not read the files through before anything is written; what is wrong is found midway");
  verb->add_option("--batch", options.batch, "documents a message; 0: about 1 MiB, attributes included")
      ->check(CLI::Range(0, 10000));
  verb->add_option("--patience", options.patience_s,
                   "seconds to wait for a server that goes away meanwhile, to restart for instance")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  verb->add_option("--window", options.window, "messages on their way at a time")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
}

}  // namespace

void AddImport(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      AddVerb(app, command, "import", "write the vectors of a file to a collection",
              "bebr import papers docs.npy --ids ids.txt --attributes attributes.jsonl", [&command, options] {
                options->files.any_values = options->partial;  // the server names them, as others
                return Run(command, *options);
              });
  ImportFiles& files = options->files;
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("file", files.vectors,
                   ".npy, .fvecs, .hdf5, IDX (-ubyte, -ubyte.gz), or .jsonl: an object a line with the vector under "
                   "\"embedding\", the id under \"id\", and attributes under all other keys")
      ->required();
  verb->add_option("--ids", files.ids,
                   "one id a line (of tab-separated columns the first; of .jsonl \"_id\" or \"id\"); without it that "
                   "of the row, else its number");
  verb->add_option("--attributes", files.attributes, "one JSON object a line");
  verb->add_option("--documents", files.documents,
                   "ids and attributes as `bebr export` writes them, one object a line: {\"id\": ..., \"attributes\": "
                   "{...}}; or as "
                   "BEIR publishes a corpus: its folder, or corpus.jsonl of it")
      ->excludes("--ids")
      ->excludes("--attributes");
  verb->add_flag("--no-attributes", files.no_attributes, "of a .jsonl file take vectors and ids only");
  verb->add_option("--version", options->version, "version of the embeddings; the collection's default without it");
  verb->add_option("--offset", files.offset, "pass over so many rows, to go on where an import ended")
      ->check(WholeNumber());
  verb->add_option("--limit", files.limit, "only so many rows; 0: all")->check(WholeNumber());
  AddSending(verb, *options);
}

}  // namespace bebr
