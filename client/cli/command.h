// What the verbs of the command `bebr` share.
#ifndef BEBR_CLIENT_CLI_COMMAND_H_
#define BEBR_CLIENT_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/client.h"
#include "google/protobuf/message.h"
#include "index/types/document.h"
#include "nlohmann/json.hpp"

namespace bebr {

// One run of the command: the options every verb has, and what the chosen verb does.
struct Command {
  Command();  // takes what the environment says

  std::string server = "127.0.0.1:7700";
  bool json = false;
  double deadline_s = 0;  // 0: none
  std::string api_key;
  std::string tls_ca_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  std::function<absl::Status()> run;  // set by the verb that is asked for

  Client Connect() const;
};

// The heading of the options that every verb has.
inline constexpr char kCommonGroup[] = "Options of every verb, which may also stand before it";
// Adds the options that stand before a verb as well as after it.
void AddCommonOptions(CLI::App& app, Command& command);
// Adds a verb with these options. `example` is what could be typed, mostly one line; --help shows it. `run` is called
// after parsing, if this verb was asked for.
CLI::App* AddVerb(CLI::App& parent, Command& command, const std::string& name, const std::string& description,
                  const std::string& example, std::function<absl::Status()> run);
// Adds a verb that has verbs of its own.
CLI::App* AddGroup(CLI::App& parent, Command& command, const std::string& name, const std::string& description);

// For options that count something: refuses what is no whole number from `least` to `most`, in such words.
CLI::Validator WholeNumber(uint64_t least = 0, uint64_t most = std::numeric_limits<uint64_t>::max());
// For options that are a time: refuses what is no number of 0 or more.
CLI::Validator Seconds();
// Adds the options of level-progressive search.
void AddProgressive(CLI::App* verb, uint32_t& first_levels, uint32_t& candidates);
// Those of a search of the nearest groups.
struct ProbeOptions {
  float share = 0;
  float recall = 0;

  bool any() const { return share != 0 || recall != 0; }
  void Set(v1::SearchOptions& options) const {
    options.set_probe(share);
    options.set_probe_recall(recall);
  }
};
void AddProbe(CLI::App* verb, ProbeOptions& probe);

// One function a file of client/cli/verbs.
void AddCreate(CLI::App& app, Command& command);
void AddImport(CLI::App& app, Command& command);
void AddSearch(CLI::App& app, Command& command);
void AddGet(CLI::App& app, Command& command);
void AddDelete(CLI::App& app, Command& command);
void AddCount(CLI::App& app, Command& command);
void AddStats(CLI::App& app, Command& command);
void AddCollections(CLI::App& app, Command& command);
void AddDrop(CLI::App& app, Command& command);
void AddExport(CLI::App& app, Command& command);
void AddFacets(CLI::App& app, Command& command);
void AddScroll(CLI::App& app, Command& command);
void AddBench(CLI::App& app, Command& command);
void AddEval(CLI::App& app, Command& command);
void AddVersion(CLI::App& app, Command& command);
void AddAlias(CLI::App& app, Command& command);
void AddSnapshot(CLI::App& app, Command& command);
void AddUpdate(CLI::App& app, Command& command);
void AddCluster(CLI::App& app, Command& command);
void AddTop(CLI::App& app, Command& command);
void AddDoctor(CLI::App& app, Command& command);
void AddVerify(CLI::App& app, Command& command);
void AddManual(CLI::App& app, Command& command);

// A message as JSON: fields by their names, 64-bit numbers as numbers, enum values short and in lower case ("f16"),
// attributes as plain values. Fields that are not set are there with their defaults, but messages and optional fields
// that are not set are left out.
nlohmann::ordered_json ToJson(const google::protobuf::Message& message);
void PrintJson(const nlohmann::ordered_json& json);

// The whole file. NOT_FOUND, naming what it is, if it cannot be read.
absl::StatusOr<std::string> ReadWholeFile(std::string_view what, const std::string& path);
// The ids of a file, one a line as by IdText, or of a .jsonl file as they stand there.
absl::StatusOr<std::vector<std::string>> ReadIdTexts(const std::string& path);
// The ids given one by one and, if `path` is not empty, those of the file, one a line as by IdText. A usage error if
// there are none: `ways` are those of the verb to give some.
absl::StatusOr<std::vector<std::string>> GivenIds(std::vector<std::string> ids, const std::string& path,
                                                  std::string_view ways);
// Ids that a request for changes may have; programs send more in several.
inline constexpr size_t kBatchIds = 10000;
// An id as one line of text: as it is, or, if it has control characters or begins with a quote, as a JSON string. What
// scroll prints GivenIds reads; a terminal obeys none of it.
std::string IdText(const std::string& id);
// The reverse. INVALID_ARGUMENT if the text begins with a quote and is no JSON string, which IdText makes of no id.
absl::StatusOr<std::string> IdFromText(const std::string& text);
// INVALID_ARGUMENT of wrong arguments: the program ends with kExitUsage.
absl::Status UsageError(std::string_view message);
bool IsUsageError(const absl::Status& status);
// On standard error.
void PrintWarnings(const google::protobuf::RepeatedPtrField<std::string>& warnings);
// Adds --strict.
void AddStrict(CLI::App* verb, bool& strict);
// From then on Ctrl-C is only noted, once; a second one ends the program.
void NoticeInterrupts();
bool WasInterrupted();
// The version called `name`, or the default one if it is empty.
absl::StatusOr<v1::Version> FindVersion(const v1::Collection& collection, const std::string& name);

// The names of the versions that take the same embeddings: stored floats come under the name of one of them.
absl::flat_hash_set<std::string> SameEmbeddings(const v1::Collection& collection, const v1::Version& version);

// That of its scores. UNIMPLEMENTED for one that this program does not know.
absl::StatusOr<Metric> MetricOf(const v1::Version& version);

// Sets `vector` to `values`: as float16 where that loses nothing, since it is half the bytes, else as floats.
void SetVector(const float* values, size_t count, v1::Vector* vector);

// "12,345" and "1.4 MB".
std::string WithCommas(uint64_t number);
std::string HumanBytes(uint64_t bytes);

}  // namespace bebr

#endif  // BEBR_CLIENT_CLI_COMMAND_H_
