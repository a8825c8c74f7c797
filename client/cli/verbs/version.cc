#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "index/base/status_macros.h"
#include "index/dataset/vector_file.h"

namespace bebr {
namespace {

struct Options {
  std::string collection;
  std::string version;
  std::string model_file;
  std::string compatible_with;
  std::string same_embeddings_as;
  std::string expected_default;
  bool force = false;
  uint64_t documents_per_s = 0;
  bool stop = false;
  bool wait = false;
  std::string against;
  uint32_t sample = 200;
  uint32_t k = 10;
  std::string queries_file;
  std::string against_queries_file;
};

std::string StateName(const v1::Version& version) {
  switch (version.state()) {
    case v1::VERSION_STATE_ADDED:
      return "added";
    case v1::VERSION_STATE_BACKFILLING:
      return "backfilling";
    case v1::VERSION_STATE_READY:
      return "ready";
    case v1::VERSION_STATE_DEFAULT:
      return "default";
    case v1::VERSION_STATE_RETIRED:
      return "retired";
    default:
      return "unknown";
  }
}

std::string Percent(double share) { return absl::StrFormat("%.1f%%", 100 * share); }

void PrintCheck(const v1::VersionCheck& check) {
  const absl::Time time = absl::FromUnixMicros(check.checked_unix_us());
  std::printf("    checked %s, %u queries, k %u: recall %s (%s: %s), overlap with %s %s\n",
              absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone()).c_str(), check.queries(), check.k(),
              Percent(check.recall()).c_str(), check.against().c_str(), Percent(check.against_recall()).c_str(),
              check.against().c_str(), Percent(check.overlap()).c_str());
}

// Of a measurement that knows it.
template <typename Measurement>
void PrintScoreError(const char* indent, const Measurement& measured) {
  if (measured.score_error_p99() == 0) return;
  std::printf("%sestimated scores off by %.4f on average, %.4f in one of a hundred\n", indent, measured.score_error(),
              measured.score_error_p99());
}

// Of what a search of all documents finds.
void PrintProbes(const v1::RecallSample& recall) {
  if (recall.probe().empty()) return;
  std::printf("    a probe of these shares of the documents finds:");
  for (const float goal : {0.9f, 0.95f, 0.99f}) {
    const auto least = std::find_if(recall.probe().begin(), recall.probe().end(),
                                    [goal](const auto& probe) { return probe.recall() >= goal; });
    if (least != recall.probe().end()) {
      std::printf("%s %s %s", goal == 0.9f ? "" : ",", Percent(least->share()).c_str(),
                  Percent(least->recall()).c_str());
    }
  }
  std::printf("\n");
}

void PrintRecall(const v1::RecallSample& recall) {
  const absl::Time time = absl::FromUnixMicros(recall.measured_unix_us());
  std::printf("    monitored %s, %u queries: recall@%u %s\n",
              absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone()).c_str(), recall.queries(), recall.k(),
              Percent(recall.recall()).c_str());
  PrintScoreError("    ", recall);
  PrintProbes(recall);
}

void PrintBackfill(const v1::Version& version, uint64_t documents) {
  const v1::Backfill& backfill = version.backfill();
  const double share = version.embeddings() == 0
                           ? 0.0
                           : static_cast<double>(version.documents()) / static_cast<double>(version.embeddings());
  std::printf("    backfill %s: %s of %s documents (%s), %s written%s", backfill.running() ? "running" : "ended",
              WithCommas(version.documents()).c_str(), WithCommas(version.embeddings()).c_str(),
              Percent(std::min(share, 1.0)).c_str(), WithCommas(backfill.written()).c_str(),
              backfill.error().empty() ? "" : absl::StrCat(", error: ", backfill.error()).c_str());
  if (backfill.running()) {
    std::printf(", %s a second%s", WithCommas(static_cast<uint64_t>(backfill.documents_per_s())).c_str(),
                backfill.limit_documents_per_s() == 0
                    ? ""
                    : absl::StrCat(" (limit ", backfill.limit_documents_per_s(), ")").c_str());
  } else if (version.embeddings() < documents) {
    std::printf("; the other %s have no floats for it: write their embeddings",
                WithCommas(documents - version.embeddings()).c_str());
  }
  std::printf("\n");
}

// What it was; servers of before did not keep that.
void PrintRetired(const v1::Version& version) {
  std::printf("%-16s %-12s", version.name().c_str(), "retired");
  if (version.bits() != 0) {
    std::printf(" was %u-d floats to %s (%u bits)  %s", version.input_dims(), version.code().c_str(), version.bits(),
                version.model().c_str());
  }
  std::printf("\n");
}

absl::Status Show(const Command& command, const absl::StatusOr<v1::Collection>& collection) {
  if (!collection.ok()) return collection.status();
  if (command.json) {
    PrintJson({{"default_version", collection->default_version()},
               {"previous_default", collection->previous_default()},
               {"documents", collection->documents()},
               {"versions", ToJson(*collection)["versions"]}});
    return absl::OkStatus();
  }
  for (const v1::Version& version : collection->versions()) {
    if (version.state() == v1::VERSION_STATE_RETIRED) {
      PrintRetired(version);
      continue;
    }
    std::printf("%-16s %-12s space %u  %s (%u bits)  codes %s of %s  floats %s%s  %s\n", version.name().c_str(),
                StateName(version).c_str(), version.space(), version.code().c_str(), version.bits(),
                WithCommas(version.documents()).c_str(), WithCommas(collection->documents()).c_str(),
                WithCommas(version.embeddings()).c_str(),
                version.same_embeddings_as().empty()
                    ? ""
                    : absl::StrCat(" (those of ", version.same_embeddings_as(), ")").c_str(),
                version.model().c_str());
    if (version.has_backfill()) PrintBackfill(version, collection->documents());
    if (version.has_check()) PrintCheck(version.check());
    if (version.has_recall()) PrintRecall(version.recall());
  }
  return absl::OkStatus();
}

absl::Status Add(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const std::string model, ReadWholeFile("model file", options.model_file));
  v1::VersionConfig config;
  config.set_collection(options.collection);
  config.set_name(options.version);
  config.set_compatible_with(options.compatible_with);
  config.set_same_embeddings_as(options.same_embeddings_as);
  return Show(command, command.Connect().AddVersion(config, model));
}

absl::Status List(const Command& command, const Options& options) {
  return Show(command, command.Connect().GetCollection(options.collection));
}

// What a promotion means for documents and for clients that name no version.
void PrintMeaning(const v1::Collection& collection) {
  const v1::Version* now = nullptr;
  const v1::Version* before = nullptr;
  for (const v1::Version& version : collection.versions()) {
    if (version.name() == collection.default_version()) now = &version;
    if (version.name() == collection.previous_default()) before = &version;
  }
  if (now == nullptr || before == nullptr) return;
  uint64_t coded = 0;
  for (const v1::Version& other : collection.versions()) coded += other.space() == now->space() ? other.documents() : 0;
  if (coded < collection.documents()) {
    std::printf("%s of %s documents have no code in the space of %s: its searches do not find them\n",
                WithCommas(collection.documents() - coded).c_str(), WithCommas(collection.documents()).c_str(),
                now->name().c_str());
  }
  if (now->same_embeddings_as() == before->name() || before->same_embeddings_as() == now->name()) return;
  const bool same_dims = now->input_dims() == before->input_dims();
  std::printf("clients that name no version must send embeddings of %s now: those of %s are %s\n", now->name().c_str(),
              before->name().c_str(),
              same_dims ? "as long and find nonsense, unless the client sends their model_checksum" : "refused");
}

absl::Status Promote(const Command& command, const Options& options) {
  v1::PromoteVersionRequest request;
  request.set_collection(options.collection);
  request.set_version(options.version);
  request.set_expected_default(options.expected_default);
  request.set_force(options.force);
  const auto promoted = command.Connect().PromoteVersion(request);
  BEBR_RETURN_IF_ERROR(Show(command, promoted));
  if (!command.json) PrintMeaning(*promoted);
  return absl::OkStatus();
}

absl::Status Rollback(const Command& command, const Options& options) {
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.GetCollection(options.collection));
  if (collection.previous_default().empty()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("collection \"%s\" has no default version before \"%s\" to go back to", options.collection,
                        collection.default_version()));
  }
  if (!options.expected_default.empty() && options.expected_default != collection.default_version()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the default version is \"%s\", not \"%s\", and stays: a rollback whose answer was lost may have been done",
        collection.default_version(), options.expected_default));
  }
  v1::PromoteVersionRequest request;
  request.set_collection(options.collection);
  request.set_version(collection.previous_default());
  request.set_expected_default(collection.default_version());
  request.set_force(true);  // it was the default before
  const auto promoted = client.PromoteVersion(request);
  BEBR_RETURN_IF_ERROR(Show(command, promoted));
  if (!command.json) {
    std::printf("the default is %s now; another rollback would go back to %s, unless it is told --expect %s\n",
                promoted->default_version().c_str(), collection.default_version().c_str(),
                collection.default_version().c_str());
  }
  return absl::OkStatus();
}

absl::Status Retire(const Command& command, const Options& options) {
  v1::RetireVersionRequest request;
  request.set_collection(options.collection);
  request.set_version(options.version);
  return Show(command, command.Connect().RetireVersion(request));
}

// Shows the progress of a backfill until it ends.
absl::Status WaitForBackfill(const Command& command, const Options& options, Client& client) {
  std::unique_ptr<Progress> progress;
  for (;;) {
    BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.GetCollection(options.collection));
    BEBR_ASSIGN_OR_RETURN(const v1::Version version, FindVersion(collection, options.version));
    if (progress == nullptr) {
      progress = std::make_unique<Progress>("backfill", "documents", version.embeddings(), command.json);
    }
    progress->Set(version.documents());
    if (version.backfill().running()) {
      absl::SleepFor(absl::Milliseconds(200));
      continue;
    }
    progress->End(version.documents());
    if (!version.backfill().error().empty()) {
      return absl::UnavailableError(absl::StrFormat("the backfill ended early: %s", version.backfill().error()));
    }
    return Show(command, collection);
  }
}

absl::Status RunBackfill(const Command& command, const Options& options) {
  v1::BackfillVersionRequest request;
  request.set_collection(options.collection);
  request.set_version(options.version);
  request.set_documents_per_s(options.documents_per_s);
  request.set_stop(options.stop);
  Client client = command.Connect();
  const auto collection = client.BackfillVersion(request);
  if (!collection.ok() || !options.wait || options.stop) return Show(command, collection);
  return WaitForBackfill(command, options, client);
}

absl::Status ReadQueries(const std::string& path, const Options& options,
                         google::protobuf::RepeatedPtrField<v1::Vector>* out) {
  if (path.empty()) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(const auto file, VectorFile::Open(path));
  const size_t rows = std::min<size_t>(file->rows(), options.sample), dims = file->dims();
  std::vector<float> values(rows * dims);
  BEBR_ASSIGN_OR_RETURN(const size_t got, file->Read(rows, values.data()));
  for (size_t i = 0; i < got; ++i) SetVector(values.data() + i * dims, dims, out->Add());
  return absl::OkStatus();
}

absl::Status Check(const Command& command, const Options& options) {
  v1::CheckVersionRequest request;
  request.set_collection(options.collection);
  request.set_version(options.version);
  request.set_against(options.against);
  request.set_sample(options.sample);
  request.set_k(options.k);
  BEBR_RETURN_IF_ERROR(ReadQueries(options.queries_file, options, request.mutable_queries()));
  BEBR_RETURN_IF_ERROR(ReadQueries(options.against_queries_file, options, request.mutable_against_queries()));
  BEBR_ASSIGN_OR_RETURN(const v1::VersionCheck check, command.Connect().CheckVersion(request));
  if (command.json) {
    PrintJson(ToJson(check));
    return absl::OkStatus();
  }
  std::printf("%s against %s, %u queries, k %u\n", options.version.c_str(), check.against().c_str(), check.queries(),
              check.k());
  std::printf("  recall of exact neighbours    %s %s (of %s documents), %s %s (of %s documents)\n",
              options.version.c_str(), Percent(check.recall()).c_str(), WithCommas(check.documents()).c_str(),
              check.against().c_str(), Percent(check.against_recall()).c_str(),
              WithCommas(check.against_documents()).c_str());
  std::printf("  answers in common             %s\n", Percent(check.overlap()).c_str());
  PrintScoreError("  ", check);
  return absl::OkStatus();
}

void AddCheckOptions(CLI::App* check, Options* options) {
  check->add_option("--against", options->against, "the other version; the default without it");
  check->add_option("--sample", options->sample, "documents, or rows of --queries, that are the queries")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  check->add_option("-k", options->k, "neighbours that count")->check(CLI::Range(1, 100))->capture_default_str();
  CLI::Option* queries =
      check->add_option("--queries", options->queries_file, "query embeddings of the version, instead of a sample");
  CLI::Option* against = check->add_option("--against-queries", options->against_queries_file,
                                           "embeddings of the same queries by the other version");
  queries->needs(against);
  against->needs(queries);
}

}  // namespace

void AddVersion(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* group = AddGroup(app, command, "version", "upgrade to another embedding model or binarizer, step by step");
  const auto add = [&](const char* name, const char* description, const char* example,
                       absl::Status (*run)(const Command&, const Options&), bool names_one) {
    CLI::App* verb = AddVerb(*group, command, name, description, example,
                             [&command, options, run] { return run(command, *options); });
    verb->add_option("name", options->collection, "name of the collection")->required();
    if (names_one) verb->add_option("version", options->version, "name of the version")->required();
    return verb;
  };
  CLI::App* added =
      add("add", "add a version", "bebr version add papers v2 --model v2.safetensors --compatible-with v1", Add, true);
  added->add_option("--model", options->model_file, "its binarizer: a safetensors file of bebr-train")->required();
  added->add_option("--compatible-with", options->compatible_with,
                    "map into the space of this version, for a model trained for it; a space of its own without it");
  added->add_option("--same-embeddings-as", options->same_embeddings_as,
                    "take the embeddings of this version: another binarizer for the same embedding model");
  add("list", "list the versions and how far each is", "bebr version list papers", List, false);
  CLI::App* backfill = add("backfill", "let the server re-encode stored floats in the background",
                           "bebr version backfill papers v2 --documents-per-s 2000 --wait", RunBackfill, true);
  backfill->add_option("--documents-per-s", options->documents_per_s, "at most; 0: no limit")->check(WholeNumber());
  backfill->add_flag("--stop", options->stop, "end it; what was re-encoded stays so");
  backfill->add_flag("--wait", options->wait, "show the progress and return when it ends");
  AddCheckOptions(add("check", "compare a version with another one, on the server",
                      "bebr version check papers v2 --sample 200", Check, true),
                  options.get());
  CLI::App* promoted =
      add("promote", "make a version the default", "bebr version promote papers v2 --expect v1", Promote, true);
  promoted->add_option("--expect,--expected-default", options->expected_default,
                       "fail if the default is not this version");
  promoted->add_flag("--force", options->force, "also if documents have no code in its space");
  CLI::App* rollback = add("rollback", "make the previous default the default again",
                           "bebr version rollback papers --expect v2", Rollback, false);
  rollback->add_option("--expect,--expected-default", options->expected_default,
                       "fail if the default is not this version: so a rollback can be repeated, which else goes "
                       "forward again");
  add("retire", "drop a version, its floats and unshared codes", "bebr version retire papers v1", Retire, true);
}

}  // namespace bebr
