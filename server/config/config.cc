#include "server/config/config.h"

#include <algorithm>
#include <map>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/file.h"
#include "index/base/utf8.h"
#include "nlohmann/json.hpp"
#include "server/config/config_check.h"
#include "server/config/names.h"
#include "server/config/options.h"

namespace bebr {
namespace {

// Text of an option that is not part of ServerConfig itself.
constexpr const char* kCommandHelp =
    "  --config FILE          JSON object of the options above: {\"data_dir\": \"/var/lib/bebr\", \"threads\": 8}\n"
    "  --print_config         print the configuration in use and exit\n"
    "  --verify               read all of data_dir and snapshot_dir, which no server may have open, compare "
    "checksums,\n"
    "                         print what is damaged and exit: with 0 if nothing is\n"
    "  --repair COLLECTION    make the codes of a collection again, where files that hold them are damaged, of its "
    "stored\n"
    "                         floats, and exit; no server may have data_dir open. The damaged files are kept aside\n"
    "  --accept_loss          with --repair: also where some can be made no more\n"
    "  --cut NAME/SNAPSHOT    make of a snapshot of a collection, in data_dir, a cluster's of the documents of some "
    "slots,\n"
    "                         and exit; no server may have data_dir open\n"
    "  --cut_slots FIRST-LAST with --cut: which, as 0-511\n"
    "  --cut_into DIR         with --cut: makes DIR/NAME/SNAPSHOT\n"
    "  --cut_position N       with --cut, where each share is cut from another server's snapshot: the same for all of\n"
    "                         them, another one than the last time; else it is the time of the snapshot\n"
    "  --help                 print this and exit\n"
    "  --version              print the version and exit\n";

// What a command asks for in place of serving.
bool* FindFlag(std::string_view name, ServerCommand& command) {
  if (name == "help") return &command.help;
  if (name == "version") return &command.version;
  if (name == "print_config") return &command.print_config;
  if (name == "accept_loss") return &command.accept_loss;
  return name == "verify" ? &command.verify : nullptr;
}

// The same with a text.
std::string* FindText(std::string_view name, ServerCommand& command) {
  if (name == "repair") return &command.repair;
  if (name == "cut") return &command.cut;
  if (name == "cut_slots") return &command.cut_slots;
  if (name == "cut_position") return &command.cut_position;
  return name == "cut_into" ? &command.cut_into : nullptr;
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
    std::string* const text = FindText(name, command);
    if (option == nullptr && name != "config" && text == nullptr) {
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
    } else if (text != nullptr) {
      *text = value;
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

// "line 3, column 7" of a mistake, and what is wrong there.
std::string WhereAndWhat(std::string_view text, const nlohmann::json::parse_error& error) {
  const std::string_view before = text.substr(0, std::min(text.size(), error.byte == 0 ? 0 : error.byte - 1));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t feed = before.rfind('\n');
  const size_t column = before.size() - (feed == std::string_view::npos ? 0 : feed + 1) + 1;
  const std::string_view what = error.what();  // "[json.exception...] parse error at line 3, column 7: <what>"
  const size_t colon = what.find(": ");
  return absl::StrFormat("line %d, column %d: %s", line, column,
                         colon == std::string_view::npos ? what : what.substr(colon + 2));
}

// False if it cannot be read: nothing is known of its options.
bool ReadConfigFile(const std::string& path, GivenOptions& given, std::vector<std::string>& errors) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) {
    errors.push_back(absl::StrCat("config file ", text.status().message()));
    return false;
  }
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/true, /*ignore_comments=*/true);
  } catch (const nlohmann::json::parse_error& error) {
    errors.push_back(absl::StrFormat("config file \"%s\" is no JSON: %s", path, WhereAndWhat(*text, error)));
    return false;
  } catch (const nlohmann::json::exception& error) {  // a number beyond a double is no parse_error
    errors.push_back(absl::StrFormat("config file \"%s\" cannot be read: %s", path, error.what()));
    return false;
  }
  if (!json.is_object()) {
    errors.push_back(absl::StrFormat("config file \"%s\" is not a JSON object", path));
    return false;
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
  return true;
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
  const bool read = config_file.empty() || ReadConfigFile(config_file, given, errors);
  for (const auto& [name, value] : given) {
    if (!IsUtf8(value.text)) {  // it is printed, logged and told as JSON
      errors.push_back(absl::StrCat(value.source, " is not UTF-8"));
    } else if (const auto problem = SetOption(*FindOption(name), value.text, command.config)) {
      errors.push_back(absl::StrCat(value.source, " ", *problem));
    }
  }
  if (read) CheckTogether(command.config, errors);  // else what it wants may stand in the file
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
