#include "server/config/config.h"

#include <cstdint>
#include <map>
#include <optional>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "index/base/file.h"
#include "nlohmann/json.hpp"
#include "server/config/names.h"

namespace bebr {
namespace {

struct Option {
  const char* name;
  std::variant<std::string ServerConfig::*, uint64_t ServerConfig::*, bool ServerConfig::*> field;
  uint64_t min = 0;  // of numbers
  uint64_t max = 0;
  const char* meaning;
  bool live = false;  // a running server takes it over at SIGHUP
};

constexpr uint64_t kMaxBytes = uint64_t{1} << 50;

const std::vector<Option>& Options() {
  using C = ServerConfig;
  static const auto* const options = new std::vector<Option>{
      {"listen", &C::listen, 0, 0, "HOST:PORT of gRPC; port 0 takes a free one, which the log names"},
      {"metrics_listen", &C::metrics_listen, 0, 0,
       "HOST:PORT of /metrics, /healthz and /readyz over HTTP; empty: none"},
      {"http_listen", &C::http_listen, 0, 0,
       "HOST:PORT of the API as JSON over HTTP (Connect protocol), with the same keys and TLS files; empty: none"},
      {"http_allowed_origins", &C::http_allowed_origins, 0, 0,
       "origins of web pages that may call http_listen, with commas between: https://search.example.org; empty: none"},
      {"console_dir", &C::console_dir, 0, 0,
       "directory of the web console, which http_listen then serves at /console/; empty: none"},
      {"data_dir", &C::data_dir, 0, 0, "directory of the collections; required; created if it is not there"},
      {"snapshot_dir", &C::snapshot_dir, 0, 0,
       "directory of the snapshots; empty: snapshots in data_dir; on another file system files are copied, not linked"},
      {"threads", &C::threads, 0, 1024, "threads of scans and encoding; 0: the processors available"},
      {"log_level", &C::log_level, 0, 0, "debug, info, warning or error", true},
      {"log_format", &C::log_format, 0, 0, "text, or json: an object a line"},
      {"slow_query_ms", &C::slow_query_ms, 0, 1 << 30,
       "searches that take so long are logged with the time of each stage; 0: none", true},
      {"allow_insecure_remote", &C::allow_insecure_remote, 0, 0,
       "true: serve addresses that other machines reach without TLS or without keys"},
      {"allow_remote_metrics", &C::allow_remote_metrics, 0, 0,
       "true: serve metrics, which need no key, on an address that other machines reach"},
      {"max_message_bytes", &C::max_message_bytes, 64 << 10, uint64_t{2047} << 20, "largest gRPC message, in and out"},
      {"max_model_bytes", &C::max_model_bytes, 1 << 10, uint64_t{1} << 30,
       "largest model file; all uploads at once may have twice that", true},
      {"max_connections", &C::max_connections, 1, 1 << 20,
       "connections at a time, at most half of the file descriptors; beyond it they are closed"},
      {"max_concurrent_streams", &C::max_concurrent_streams, 1, 1 << 20, "calls in flight on one connection"},
      {"grpc_memory_bytes", &C::grpc_memory_bytes, 16 << 20, kMaxBytes,
       "memory of gRPC's buffers; beyond it calls are refused"},
      {"max_parsed_bytes", &C::max_parsed_bytes, 16 << 20, kMaxBytes,
       "memory of the requests in progress, once they are parsed; beyond it calls are refused", true},
      {"max_queued_queries", &C::max_queued_queries, 1, 1 << 24,
       "queries waiting for a scan; beyond it they are refused"},
      {"max_queued_upsert_bytes", &C::max_queued_upsert_bytes, 1 << 20, kMaxBytes,
       "floats waiting to be encoded and committed; beyond it writes are refused"},
      {"max_results_per_call", &C::max_results_per_call, 1, uint64_t{1} << 32,
       "queries x the larger of k and rerank; searches that ask for more are refused", true},
      {"max_pending_response_bytes", &C::max_pending_response_bytes, 1 << 20, kMaxBytes,
       "answers that wait for slow clients; beyond it searches and Get are refused", true},
      {"memory_limit_bytes", &C::memory_limit_bytes, 0, kMaxBytes,
       "memory of all collections: writes beyond it, and collections that expect more, are refused; 0: no limit"},
      {"min_free_disk_bytes", &C::min_free_disk_bytes, 0, kMaxBytes,
       "with less space left on the disk of data_dir nothing is added; deletes and searches go on; 0: no limit"},
      {"write_buffer_bytes", &C::write_buffer_bytes, 448 << 10, uint64_t{7} << 30,
       "what one shard collects in memory before RocksDB writes it to files"},
      {"block_cache_bytes", &C::block_cache_bytes, 1 << 20, kMaxBytes,
       "memory for parts of RocksDB's files, of all collections: a larger one makes rerank and attributes faster"},
      {"recall_monitor_interval_s", &C::recall_monitor_interval_s, 0, 1 << 30,
       "recall of every version with stored floats is measured so often, for bebr_version_recall_ratio; 0: never"},
      {"recall_monitor_queries", &C::recall_monitor_queries, 1, 1000,
       "sampled documents that are the queries of such a measurement"},
      {"recall_monitor_documents_per_s", &C::recall_monitor_documents_per_s, 0, uint64_t{1} << 32,
       "documents whose floats a measurement reads a second at most, on a thread that yields to all others; 0: no "
       "limit"},
      {"read_threads", &C::read_threads, 1, 256,
       "threads of calls that wait for the disk: Get, collections, statistics"},
      {"upsert_window_messages", &C::upsert_window_messages, 1, 256, "unacknowledged messages of one upsert stream"},
      {"keepalive_min_interval_s", &C::keepalive_min_interval_s, 1, 3600,
       "clients that ping more often are disconnected"},
      {"handshake_timeout_s", &C::handshake_timeout_s, 1, 3600,
       "connections that have not spoken TLS and HTTP/2 by then are closed"},
      {"idle_connection_timeout_s", &C::idle_connection_timeout_s, 1, 1 << 30,
       "connections without a call for so long are closed; clients connect again by themselves"},
      {"response_timeout_s", &C::response_timeout_s, 1, 3600,
       "calls whose client does not take the answer by then are cancelled"},
      {"drain_timeout_s", &C::drain_timeout_s, 0, 3600,
       "after SIGTERM calls in flight may take so long; then they are cancelled"},
      {"otlp_endpoint", &C::otlp_endpoint, 0, 0,
       "HOST:PORT of a collector of OpenTelemetry (OTLP over gRPC, in plaintext) that takes calls as traces; empty: "
       "none"},
      {"otlp_sample_percent", &C::otlp_sample_percent, 0, 100,
       "calls of 100 that are traced where the client sends no traceparent; where it does, that says so"},
      {"tls_cert_file", &C::tls_cert_file, 0, 0,
       "certificate chain (PEM); with tls_key_file: TLS; read again when it changes"},
      {"tls_key_file", &C::tls_key_file, 0, 0, "private key (PEM) of the certificate"},
      {"tls_client_ca_file", &C::tls_client_ca_file, 0, 0,
       "authorities (PEM) of client certificates, which are then required"},
      {"keys_file", &C::keys_file, 0, 0,
       "JSON file of API keys (hashes, roles); empty: every caller may do everything"},
  };
  return *options;
}

// Text of an option that is not part of ServerConfig itself.
constexpr const char* kCommandHelp =
    "  --config FILE          JSON object of the options above: {\"data_dir\": \"/var/lib/bebr\", \"threads\": 8}\n"
    "  --print_config         print the configuration in use and exit\n"
    "  --verify               read all of data_dir and snapshot_dir, which no server may have open, compare "
    "checksums,\n"
    "                         print what is damaged and exit: with 0 if nothing is\n"
    "  --help                 print this and exit\n"
    "  --version              print the version and exit\n";

// What a command asks for in place of serving.
bool* FindFlag(std::string_view name, ServerCommand& command) {
  if (name == "help") return &command.help;
  if (name == "version") return &command.version;
  if (name == "print_config") return &command.print_config;
  return name == "verify" ? &command.verify : nullptr;
}

std::vector<std::string> OptionNames() {
  std::vector<std::string> names;
  for (const Option& option : Options()) names.push_back(option.name);
  return names;
}

const Option* FindOption(std::string_view name) {
  for (const Option& option : Options()) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

// Returns what is wrong with `text` as a value of `option`, or nothing after setting it.
std::optional<std::string> Set(const Option& option, std::string_view text, ServerConfig& config) {
  if (const auto* field = std::get_if<std::string ServerConfig::*>(&option.field)) {
    config.*(*field) = std::string(text);
    return std::nullopt;
  }
  if (const auto* field = std::get_if<bool ServerConfig::*>(&option.field)) {
    if (text != "true" && text != "false") return absl::StrFormat("is \"%s\"; it is true or false", text);
    config.*(*field) = text == "true";
    return std::nullopt;
  }
  uint64_t number = 0;
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits || !absl::SimpleAtoi(std::string(text), &number))
    return absl::StrFormat("is \"%s\"; it is a whole number", text);
  if (number < option.min || number > option.max) {
    return absl::StrFormat("is %d; the limits are %d and %d", number, option.min, option.max);
  }
  config.*(std::get<uint64_t ServerConfig::*>(option.field)) = number;
  return std::nullopt;
}

std::string EnvironmentName(std::string_view name) {
  return absl::StrCat("BEBR_", absl::AsciiStrToUpper(std::string(name)));
}

// Where a value came from, for messages, and the value.
struct Given {
  std::string source;
  std::string text;
};
using GivenOptions = std::map<std::string, Given, std::less<>>;

void ReadFlags(const std::vector<std::string>& arguments, ServerCommand& command, GivenOptions& given,
               std::string& config_file, std::vector<std::string>& errors) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.rfind("--", 0) != 0) {
      errors.push_back(absl::StrFormat("argument \"%s\" is not an option; options begin with --", argument));
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(2, equals == std::string::npos ? std::string::npos : equals - 2);
    if (bool* const flag = FindFlag(name, command); flag != nullptr) {
      *flag = true;
      continue;
    }
    const Option* option = FindOption(name);
    if (option == nullptr && name != "config") {
      errors.push_back(
          absl::StrFormat("--%s is not an option; --help lists them%s", name, DidYouMean(name, OptionNames())));
      continue;
    }
    std::string value;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (option != nullptr && std::holds_alternative<bool ServerConfig::*>(option->field)) {
      const bool spelled = i + 1 < arguments.size() && (arguments[i + 1] == "true" || arguments[i + 1] == "false");
      value = spelled ? arguments[++i] : "true";
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      errors.push_back(absl::StrFormat("--%s has no value", name));
      continue;
    }
    if (name == "config") {
      config_file = value;
    } else {
      given[name] = {"--" + name, value};
    }
  }
}

// What flags have not given yet.
void ReadVariables(const Environment& environment, GivenOptions& given, std::string& config_file,
                   std::vector<std::string>& errors) {
  std::vector<std::string> variables;
  for (const std::string& name : OptionNames()) {
    variables.push_back(EnvironmentName(name));
    const auto value = environment.find(variables.back());
    if (value != environment.end() && given.count(name) == 0) given[name] = {variables.back(), value->second};
  }
  const auto file = environment.find("BEBR_CONFIG");
  if (file != environment.end() && config_file.empty()) config_file = file->second;
  for (std::string& message : UnknownVariables(environment, variables)) errors.push_back(std::move(message));
}

void ReadConfigFile(const std::string& path, GivenOptions& given, std::vector<std::string>& errors) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) {
    errors.push_back(absl::StrCat("config file ", text.status().message()));
    return;
  }
  const nlohmann::json json =
      nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false, /*ignore_comments=*/true);
  if (!json.is_object()) {
    errors.push_back(absl::StrFormat("config file \"%s\" is not a JSON object", path));
    return;
  }
  for (const auto& [name, value] : json.items()) {
    const std::string source = absl::StrFormat("%s in %s", name, path);
    if (FindOption(name) == nullptr) {
      errors.push_back(absl::StrCat(source, " is not an option", DidYouMean(name, OptionNames())));
    } else if (!value.is_string() && !value.is_boolean() && !value.is_number_integer()) {
      errors.push_back(absl::StrFormat("%s is neither text, a whole number, nor true or false", source));
    } else if (given.count(name) == 0) {
      given[name] = {source, value.is_string() ? value.get<std::string>() : value.dump()};
    }
  }
}

bool IsHostPort(std::string_view address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  return colon != std::string_view::npos && colon > 0 &&
         absl::SimpleAtoi(std::string(address.substr(colon + 1)), &port) && port <= 65535;
}

void CheckHttp(const ServerConfig& config, std::vector<std::string>& errors) {
  if (config.http_listen.empty()) {
    if (!config.http_allowed_origins.empty()) errors.push_back("http_allowed_origins needs http_listen");
    if (!config.console_dir.empty()) errors.push_back("console_dir needs http_listen");
    return;
  }
  if (!IsHostPort(config.http_listen)) {
    errors.push_back(absl::StrFormat("http_listen is \"%s\"; it is HOST:PORT or empty", config.http_listen));
  } else if (!IsLoopback(config.http_listen) && !config.allow_insecure_remote &&
             (config.tls_cert_file.empty() || config.keys_file.empty())) {
    errors.push_back(
        absl::StrFormat("http_listen is \"%s\", which other machines reach: give tls_cert_file, tls_key_file and "
                        "keys_file, or accept that anyone there may read and change everything with "
                        "allow_insecure_remote",
                        config.http_listen));
  }
  if (!config.tls_client_ca_file.empty()) {
    errors.push_back(
        "http_listen and tls_client_ca_file do not go together: HTTP asks for no client certificates, and so would be "
        "a "
        "way around them");
  }
  for (const absl::string_view origin : absl::StrSplit(config.http_allowed_origins, ',', absl::SkipEmpty())) {
    if (!absl::StartsWith(origin, "http://") && !absl::StartsWith(origin, "https://")) {
      errors.push_back(absl::StrFormat(
          "http_allowed_origins has \"%s\"; an origin is https://HOST or http://HOST:PORT, without a path", origin));
    }
  }
}

void CheckAddresses(const ServerConfig& config, std::vector<std::string>& errors) {
  if (!IsHostPort(config.listen)) {
    errors.push_back(absl::StrFormat("listen is \"%s\"; it is HOST:PORT, port 0 to 65535", config.listen));
  } else if (!IsLoopback(config.listen) && !config.allow_insecure_remote &&
             (config.tls_cert_file.empty() || (config.keys_file.empty() && config.tls_client_ca_file.empty()))) {
    errors.push_back(
        absl::StrFormat("listen is \"%s\", which other machines reach: give tls_cert_file, tls_key_file, and keys_file "
                        "or tls_client_ca_file, or accept "
                        "that anyone there may read and change everything with allow_insecure_remote",
                        config.listen));
  }
  CheckHttp(config, errors);
  if (!config.metrics_listen.empty() && !IsHostPort(config.metrics_listen)) {
    errors.push_back(absl::StrFormat("metrics_listen is \"%s\"; it is HOST:PORT or empty", config.metrics_listen));
  } else if (!config.metrics_listen.empty() && !IsLoopback(config.metrics_listen) && !config.allow_remote_metrics) {
    errors.push_back(
        absl::StrFormat("metrics_listen is \"%s\", which other machines reach, and asks for no key: accept with "
                        "allow_remote_metrics that anyone there may read names, sizes and load of the collections",
                        config.metrics_listen));
  }
}

void CheckEndpoint(const ServerConfig& config, std::vector<std::string>& errors) {
  if (config.otlp_endpoint.empty() || IsHostPort(config.otlp_endpoint)) return;
  errors.push_back(absl::StrFormat("otlp_endpoint is \"%s\"; it is HOST:PORT or empty", config.otlp_endpoint));
}

// Settings that are each well formed but do not go together.
void CheckTogether(const ServerConfig& config, std::vector<std::string>& errors) {
  if (config.data_dir.empty()) errors.push_back("data_dir is not set; give a directory, e.g. --data_dir /var/lib/bebr");
  CheckAddresses(config, errors);
  CheckEndpoint(config, errors);
  constexpr const char* kLevels[] = {"debug", "info", "warning", "error"};
  bool known = false;
  for (const char* level : kLevels) known |= config.log_level == level;
  if (!known)
    errors.push_back(absl::StrFormat("log_level is \"%s\"; it is debug, info, warning or error", config.log_level));
  if (config.log_format != "text" && config.log_format != "json") {
    errors.push_back(absl::StrFormat("log_format is \"%s\"; it is text or json", config.log_format));
  }
  if (config.tls_cert_file.empty() != config.tls_key_file.empty()) {
    errors.push_back("tls_cert_file and tls_key_file go together; only one is set");
  }
  if (!config.tls_client_ca_file.empty() && config.tls_cert_file.empty()) {
    errors.push_back("tls_client_ca_file needs tls_cert_file and tls_key_file");
  }
}

}  // namespace

bool IsLoopback(std::string_view address) {
  const std::string_view host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" ||
         (host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

absl::StatusOr<ServerCommand> ParseServerConfig(const std::vector<std::string>& arguments,
                                                const Environment& environment) {
  ServerCommand command;
  GivenOptions given;
  std::vector<std::string> errors;
  std::string config_file;
  ReadFlags(arguments, command, given, config_file, errors);
  if (errors.empty() && (command.help || command.version)) return command;
  ReadVariables(environment, given, config_file, errors);
  if (!config_file.empty()) ReadConfigFile(config_file, given, errors);
  for (const auto& [name, value] : given) {
    if (const auto problem = Set(*FindOption(name), value.text, command.config)) {
      errors.push_back(absl::StrCat(value.source, " ", *problem));
    }
  }
  CheckTogether(command.config, errors);
  if (!errors.empty()) return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
  return command;
}

OptionChanges ChangedOptions(const ServerConfig& before, const ServerConfig& after) {
  OptionChanges changes;
  for (const Option& option : Options()) {
    const bool same = std::visit([&](auto field) { return before.*field == after.*field; }, option.field);
    if (!same) (option.live ? changes.live : changes.at_restart).push_back(option.name);
  }
  return changes;
}

ServerConfig WithLiveOptions(ServerConfig running, const ServerConfig& read) {
  for (const Option& option : Options()) {
    if (option.live) std::visit([&](auto field) { running.*field = read.*field; }, option.field);
  }
  return running;
}

std::string PrintServerConfig(const ServerConfig& config) {
  nlohmann::ordered_json json;
  for (const Option& option : Options()) {
    std::visit([&](auto field) { json[option.name] = config.*field; }, option.field);
  }
  return json.dump(2) + "\n";
}

std::map<std::string, uint64_t> NumericOptions(const ServerConfig& config) {
  std::map<std::string, uint64_t> numbers;
  for (const Option& option : Options()) {
    if (const auto* field = std::get_if<uint64_t ServerConfig::*>(&option.field))
      numbers[option.name] = config.*(*field);
  }
  return numbers;
}

std::string ServerHelp() {
  std::string help =
      "bebr-server: a binary-embedding vector search server\n\n"
      "Each option is a flag (--threads 8), an environment variable (BEBR_THREADS=8) or an entry of the configuration "
      "file\n"
      "(\"threads\": 8); the first of these that is there counts.\n\n";
  const ServerConfig defaults;
  for (const Option& option : Options()) {
    std::string value;
    std::visit([&](auto field) { value = nlohmann::json(defaults.*field).dump(); }, option.field);
    const std::string limits = option.max == 0 ? "" : absl::StrFormat("; %d to %d", option.min, option.max);
    absl::StrAppendFormat(&help, "  --%s\n        %s (default %s%s%s)\n", option.name, option.meaning, value, limits,
                          option.live ? "; read again at SIGHUP" : "");
  }
  return help + "\n" + kCommandHelp;
}

}  // namespace bebr
