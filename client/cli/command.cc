#include "client/cli/command.h"

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/file.h"
#include "index/base/float16.h"
#include "index/base/status_macros.h"
#include "index/dataset/evaluation.h"
#include "index/types/search.h"

namespace bebr {
namespace {

constexpr char kUsage[] = "bebr/usage";  // the payload of a usage error

volatile std::sig_atomic_t interrupted = 0;

const std::string& OriginOf(const v1::Version& version) {
  return version.same_embeddings_as().empty() ? version.name() : version.same_embeddings_as();
}

// Bytes below 32 and 127, and in UTF-8 the characters 128 to 159.
bool HasControls(const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

}  // namespace

Command::Command() {
  const std::pair<const char*, std::string*> variables[] = {{"BEBR_SERVER", &server},
                                                            {"BEBR_API_KEY", &api_key},
                                                            {"BEBR_TLS_CA", &tls_ca_file},
                                                            {"BEBR_TLS_CERT", &tls_cert_file},
                                                            {"BEBR_TLS_KEY", &tls_key_file}};
  for (const auto& [name, field] : variables) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') *field = value;
  }
}

Client Command::Connect() const {
  return Client({.server = server,
                 .deadline = deadline_s > 0 ? absl::Seconds(deadline_s) : absl::InfiniteDuration(),
                 .api_key = api_key,
                 .tls_ca_file = tls_ca_file,
                 .tls_cert_file = tls_cert_file,
                 .tls_key_file = tls_key_file});
}

void AddCommonOptions(CLI::App& app, Command& command) {
  app.add_option("--server", command.server, "HOST or HOST:PORT of the server; without a port 7700 (BEBR_SERVER)")
      ->capture_default_str()
      ->group(kCommonGroup);
  app.add_flag("--json", command.json, "print JSON")->group(kCommonGroup);
  app.add_option("--deadline", command.deadline_s, "seconds a call may take; 0: no limit")
      ->check(Seconds())
      ->group(kCommonGroup);
  app.add_option("--api-key", command.api_key, "API key; better given in the environment (BEBR_API_KEY)")
      ->group(kCommonGroup);
  app.add_option("--tls-ca", command.tls_ca_file, "PEM file of the server's authority; turns TLS on (BEBR_TLS_CA)")
      ->group(kCommonGroup);
  app.add_option("--tls-cert", command.tls_cert_file, "PEM file of the client's certificate (BEBR_TLS_CERT)")
      ->group(kCommonGroup);
  app.add_option("--tls-key", command.tls_key_file, "PEM file of the client's private key (BEBR_TLS_KEY)")
      ->group(kCommonGroup);
}

CLI::App* AddVerb(CLI::App& parent, Command& command, const std::string& name, const std::string& description,
                  const std::string& example, std::function<absl::Status()> run) {
  CLI::App* verb = parent.add_subcommand(name, description);
  AddCommonOptions(*verb, command);
  verb->footer(absl::StrCat("Example:\n  ", example));
  verb->callback([&command, run = std::move(run)] { command.run = run; });
  return verb;
}

CLI::App* AddGroup(CLI::App& parent, Command& command, const std::string& name, const std::string& description) {
  CLI::App* group = parent.add_subcommand(name, description);
  AddCommonOptions(*group, command);
  group->require_subcommand(1);
  group->footer(absl::StrCat("`bebr ", name, " VERB --help` shows what a verb takes, with an example."));
  return group;
}

CLI::Validator WholeNumber(uint64_t least, uint64_t most) {
  return CLI::Validator(
      [least, most](std::string& text) {
        uint64_t number = 0;
        if (absl::SimpleAtoi(text, &number) && number >= least && number <= most) return std::string();
        const bool bounded = most < std::numeric_limits<uint64_t>::max();
        return absl::StrFormat("\"%s\" is no whole number %s", text,
                               bounded ? absl::StrCat("from ", WithCommas(least), " to ", WithCommas(most))
                                       : absl::StrCat("of ", least, " or more"));
      },
      "");
}

CLI::Validator Seconds() {
  return CLI::Validator(
      [](std::string& text) {
        double number = 0;
        const bool good = absl::SimpleAtod(text, &number) && std::isfinite(number) && number >= 0;
        return good ? std::string() : absl::StrFormat("\"%s\" is no number of 0 or more", text);
      },
      "");
}

void AddStrict(CLI::App* verb, bool& strict) {
  verb->add_flag("--strict", strict, "an attribute in the filter that no document has is an error");
}

void AddProgressive(CLI::App* verb, uint32_t& first_levels, uint32_t& candidates) {
  verb->add_option("--first-levels", first_levels,
                   "score all documents by so many levels of their codes, and only some by all; 0: all by all")
      ->check(WholeNumber());
  verb->add_option("--candidates", candidates,
                   "with --first-levels: how many documents are scored by all levels; 0: as many as it takes to find "
                   "exactly what a scan of all levels finds")
      ->check(WholeNumber(0, kMaxCandidates));
}

void AddProbe(CLI::App* verb, ProbeOptions& probe) {
  CLI::Option* share = verb->add_option("--probe", probe.share,
                                        "score only the groups of documents nearest to a query, as many as have this "
                                        "share of all documents; 0: all")
                           ->check(CLI::Range(0.0f, 1.0f));
  verb->add_option(
          "--probe-recall", probe.recall,
          "as --probe, with the least share at which the recall monitor found this share, less than 1, of what "
          "scoring all documents finds")
      ->check(CLI::Range(0.0f, 1.0f))
      ->excludes(share);
}

void PrintJson(const nlohmann::ordered_json& json) {
  std::printf("%s\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

absl::StatusOr<std::string> ReadWholeFile(std::string_view what, const std::string& path) {
  absl::StatusOr<std::string> bytes = ReadFile(path);
  if (!bytes.ok()) return absl::Status(bytes.status().code(), absl::StrFormat("%s %s", what, bytes.status().message()));
  return bytes;
}

absl::StatusOr<std::vector<std::string>> ReadIdTexts(const std::string& path) {
  BEBR_ASSIGN_OR_RETURN(std::vector<std::string> ids, ReadIds(path));
  if (absl::EndsWith(path, ".jsonl")) return ids;  // JSON once is enough
  for (size_t i = 0; i < ids.size(); ++i) {
    absl::StatusOr<std::string> id = IdFromText(ids[i]);
    if (!id.ok())
      return absl::InvalidArgumentError(absl::StrFormat("id %d of \"%s\": %s", i + 1, path, id.status().message()));
    ids[i] = *std::move(id);
  }
  return ids;
}

absl::StatusOr<std::vector<std::string>> GivenIds(std::vector<std::string> ids, const std::string& path,
                                                  std::string_view ways) {
  if (!path.empty()) {
    BEBR_ASSIGN_OR_RETURN(const auto more, ReadIdTexts(path));
    ids.insert(ids.end(), more.begin(), more.end());
  }
  if (ids.empty()) return UsageError(absl::StrFormat("no ids: give them %s", ways));
  return ids;
}

std::string IdText(const std::string& id) {
  if (!HasControls(id) && !absl::StartsWith(id, "\"")) return id;
  return nlohmann::json(id).dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<std::string> IdFromText(const std::string& text) {
  if (!absl::StartsWith(text, "\"")) return text;
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_string()) return json.get<std::string>();
  return absl::InvalidArgumentError(absl::StrFormat(
      "%s begins with a quote and is no JSON string; an id that begins with one is given as one, \"\\\"so\"", text));
}

absl::Status UsageError(std::string_view message) {
  absl::Status status = absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
  status.SetPayload(kUsage, absl::Cord());
  return status;
}

bool IsUsageError(const absl::Status& status) { return status.GetPayload(kUsage).has_value(); }

void PrintWarnings(const google::protobuf::RepeatedPtrField<std::string>& warnings) {
  for (const std::string& warning : warnings) std::fprintf(stderr, "bebr: warning: %s\n", warning.c_str());
}

void NoticeInterrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
}

bool WasInterrupted() { return interrupted != 0; }

absl::StatusOr<v1::Version> FindVersion(const v1::Collection& collection, const std::string& name) {
  const std::string& wanted = name.empty() ? collection.default_version() : name;
  for (const v1::Version& version : collection.versions()) {
    if (version.name() == wanted) return version;
  }
  return absl::NotFoundError(
      absl::StrFormat("collection \"%s\" has no version \"%s\"; `bebr version list %s` shows what it has",
                      collection.name(), wanted, collection.name()));
}

absl::flat_hash_set<std::string> SameEmbeddings(const v1::Collection& collection, const v1::Version& version) {
  absl::flat_hash_set<std::string> names;
  for (const v1::Version& other : collection.versions()) {
    if (OriginOf(other) == OriginOf(version)) names.insert(other.name());
  }
  return names;
}

absl::StatusOr<Metric> MetricOf(const v1::Version& version) {
  switch (version.metric()) {
    case v1::METRIC_COSINE:
      return Metric::kCosine;
    case v1::METRIC_INNER_PRODUCT:
      return Metric::kInnerProduct;
    case v1::METRIC_L2:
      return Metric::kL2;
    default:
      return absl::UnimplementedError(absl::StrFormat(
          "version \"%s\" has the metric %d, which this program does not know: take the bebr of the server's release",
          version.name(), static_cast<int>(version.metric())));
  }
}

void SetVector(const float* values, size_t count, v1::Vector* vector) {
  std::string halves(count * sizeof(uint16_t), '\0');
  bool exact = true;
  for (size_t i = 0; exact && i < count; ++i) {
    const uint16_t half = FloatToHalf(values[i]);
    exact = HalfToFloat(half) == values[i];
    halves[2 * i] = static_cast<char>(half & 0xff);
    halves[2 * i + 1] = static_cast<char>(half >> 8);
  }
  if (exact) {
    vector->set_float16(std::move(halves));
  } else {
    vector->mutable_values()->Add(values, values + count);
  }
}

std::string WithCommas(uint64_t number) {
  const std::string digits = absl::StrCat(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string HumanBytes(uint64_t bytes) {
  constexpr double kStep = 1000;
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= kStep && unit + 1 < std::size(kUnits); ++unit) value /= kStep;
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, value, kUnits[unit]);
}

}  // namespace bebr
