#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/npy_writer.h"
#include "client/cli/progress.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string name;
  std::string prefix;
  std::string version;
  std::string filter;
  bool no_embeddings = false;
  bool force = false;
};

struct Counts {
  uint64_t documents = 0;
  uint64_t without = 0;  // an embedding of the version
};

// Versions of the same embeddings: the floats come under the name of one of them.
using Names = absl::flat_hash_set<std::string>;

const v1::Embedding* EmbeddingOf(const v1::Document& document, const Names& names) {
  for (const v1::Embedding& embedding : document.embeddings()) {
    if (names.contains(embedding.version())) return &embedding;
  }
  return nullptr;
}

absl::StatusOr<v1::Version> VersionToExport(const v1::Collection& collection, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(v1::Version version, FindVersion(collection, options.version));
  if (collection.store_floats() == v1::FLOAT_STORAGE_NONE) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "collection \"%s\" stores no floats, so there are no embeddings to export; --no-embeddings exports the rest",
        collection.name()));
  }
  return version;
}

absl::Status CheckWritten(const std::ofstream& file, const std::string& path) {
  if (file) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat("cannot write \"%s\": %s", path, std::strerror(errno)));
}

absl::Status NotAll(const Counts& counts, const v1::Version& version) {
  return absl::FailedPreconditionError(
      absl::StrFormat("%d documents have no embedding of version \"%s\" and are not in the files%s; export another "
                      "version too, or all with --no-embeddings",
                      counts.without, version.name(), counts.documents == 0 ? ", which are left as they were" : ""));
}

absl::StatusOr<Counts> WriteAll(Client& client, v1::ScrollRequest request, const Names& names, std::ofstream& lines,
                                NpyWriter* vectors, Progress& progress) {
  Counts counts;
  for (;;) {
    BEBR_ASSIGN_OR_RETURN(const auto page, client.Scroll(request));
    if (request.page_token().empty()) PrintWarnings(page.warnings());
    if (WasInterrupted()) return absl::CancelledError("interrupted; files of before are as they were");
    for (const v1::Document& document : page.documents()) {
      if (vectors != nullptr) {
        const v1::Embedding* embedding = EmbeddingOf(document, names);
        if (embedding == nullptr) {
          ++counts.without;
          continue;
        }
        BEBR_RETURN_IF_ERROR(vectors->Add(embedding->vector().values().data()));
      }
      const nlohmann::ordered_json line{{"id", document.id()}, {"attributes", ToJson(document)["attributes"]}};
      lines << line.dump() << '\n';
      ++counts.documents;
    }
    progress.Set(counts.documents + counts.without);
    if (page.next_page_token().empty()) return counts;
    request.set_page_token(page.next_page_token());
  }
}

// Files get their names when they are whole, so that what was exported before is not lost to an export that fails.
std::string Unfinished(const std::string& path) { return path + ".part"; }

// Takes away what an export that failed has written, and nothing else.
class Leftovers {
 public:
  Leftovers() = default;
  Leftovers(const Leftovers&) = delete;
  Leftovers& operator=(const Leftovers&) = delete;
  ~Leftovers() {
    for (const std::string& path : paths_) std::remove(path.c_str());
  }
  // A file that this export begins now.
  std::string Begin(const std::string& path) { return paths_.emplace_back(Unfinished(path)); }

 private:
  std::vector<std::string> paths_;
};

absl::Status Rename(const std::string& path) {
  const absl::Status renamed = RenameSynced(Unfinished(path), path);
  return renamed.ok() ? renamed : absl::FailedPreconditionError(std::string(renamed.message()));
}

absl::StatusOr<uint64_t> CountToExport(Client& client, const Options& options) {
  v1::CountRequest request;
  request.set_collection(options.name);
  request.set_filter(options.filter);
  BEBR_ASSIGN_OR_RETURN(const v1::CountResponse counted, client.Count(request));
  return counted.documents();
}

absl::Status Run(const Command& command, const Options& options) {
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.GetCollection(options.name));
  NoticeInterrupts();
  Leftovers leftovers;
  std::unique_ptr<NpyWriter> vectors;
  v1::Version version;
  if (!options.no_embeddings) {
    BEBR_ASSIGN_OR_RETURN(version, VersionToExport(collection, options));
    BEBR_ASSIGN_OR_RETURN(vectors, NpyWriter::Create(leftovers.Begin(options.prefix + ".npy"), version.input_dims(),
                                                     collection.store_floats() == v1::FLOAT_STORAGE_F16));
  }
  const std::string path = options.prefix + ".jsonl";
  std::ofstream lines(leftovers.Begin(path), std::ios::binary | std::ios::trunc);
  BEBR_RETURN_IF_ERROR(CheckWritten(lines, Unfinished(path)));
  v1::ScrollRequest request;
  request.set_collection(options.name);
  request.set_filter(options.filter);
  request.set_strict(!options.force);  // a slip in the filter would put an empty file in the place of a good one
  request.set_with_attributes(true);
  request.set_with_embeddings(vectors != nullptr);
  BEBR_ASSIGN_OR_RETURN(const uint64_t documents, CountToExport(client, options));
  Progress progress("export", "documents", documents, command.json);
  auto written =
      WriteAll(client, std::move(request), SameEmbeddings(collection, version), lines, vectors.get(), progress);
  if (!written.ok() && !options.force && absl::StrContains(written.status().message(), "(strict)"))
    return absl::InvalidArgumentError(absl::StrCat(written.status().message(), "; --force exports all the same"));
  BEBR_ASSIGN_OR_RETURN(const Counts counts, std::move(written));
  progress.End(counts.documents + counts.without);
  if (vectors != nullptr) BEBR_RETURN_IF_ERROR(vectors->Finish());
  lines.close();
  BEBR_RETURN_IF_ERROR(CheckWritten(lines, Unfinished(path)));
  if (counts.documents == 0 && counts.without > 0) return NotAll(counts, version);
  if (vectors != nullptr) BEBR_RETURN_IF_ERROR(Rename(options.prefix + ".npy"));
  BEBR_RETURN_IF_ERROR(Rename(path));
  if (command.json) {
    PrintJson({{"documents", counts.documents}, {"without_embedding", counts.without}});
  } else {
    std::printf("exported %s documents to %s.*\n", WithCommas(counts.documents).c_str(), options.prefix.c_str());
  }
  return counts.without == 0 ? absl::OkStatus() : NotAll(counts, version);
}

}  // namespace

void AddExport(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, command, "export",
                           "write documents to FILES.npy, their stored embeddings, and FILES.jsonl, their ids and "
                           "attributes; `bebr import NAME FILES.npy --documents FILES.jsonl` reads them back",
                           "bebr export papers papers-2026", [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("files", options->prefix, "path of the files, without .npy and .jsonl")->required();
  verb->add_option("--version", options->version, "version of the embeddings; the collection's default without it");
  verb->add_option("--filter", options->filter, "only documents with such attributes");
  verb->add_flag("--force", options->force, "also if the filter names an attribute that no document has");
  verb->add_flag("--no-embeddings", options->no_embeddings, "only FILES.jsonl");
}

}  // namespace bebr
