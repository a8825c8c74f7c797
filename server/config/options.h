// The one table of the server's options.
#ifndef BEBR_SERVER_CONFIG_OPTIONS_H_
#define BEBR_SERVER_CONFIG_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/config/config.h"

namespace bebr {

// An option: a member of ServerConfig, and what may be said about it.
struct Option {
  const char* name;
  std::variant<std::string ServerConfig::*, uint64_t ServerConfig::*, bool ServerConfig::*> field;
  uint64_t min = 0;  // of numbers
  uint64_t max = 0;
  const char* meaning;
  bool live = false;  // a running server takes it over at SIGHUP
};

// All of them, in the order in which they are told.
std::span<const Option> Options();
// Null if there is none of the name.
const Option* FindOption(std::string_view name);
std::vector<std::string> OptionNames();

// Returns what is wrong with `text` as a value of `option`, or nothing after setting it.
std::optional<std::string> SetOption(const Option& option, std::string_view text, ServerConfig& config);

}  // namespace bebr

#endif  // BEBR_SERVER_CONFIG_OPTIONS_H_
