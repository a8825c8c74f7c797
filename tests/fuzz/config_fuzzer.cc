// The configuration of a server: a file, then, after a line "%%", arguments, one a line. What is accepted is the same
// when it is printed and read again.
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "server/config/config.h"
#include "tests/fuzz/fuzzer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  static const fuzz::Scratch scratch;
  const std::vector<std::string_view> parts = fuzz::Divide(fuzz::ToView(data, size), 2);
  std::vector<std::string> arguments = {"--config=" + scratch.Write("config.json", parts[0])};
  for (const auto& line : absl::StrSplit(absl::string_view(parts[1].data(), parts[1].size()), '\n', absl::SkipEmpty()))
    arguments.emplace_back(line);
  const auto command = ParseServerConfig(arguments, {});
  if (!command.ok()) {
    FUZZ_REQUIRE(!command.status().message().empty());
    return 0;
  }
  const std::string printed = PrintServerConfig(command->config);
  const auto again = ParseServerConfig({"--config=" + scratch.Write("printed.json", printed)}, {});
  FUZZ_REQUIRE(command->help || command->version || again.ok());
  if (again.ok()) FUZZ_REQUIRE(PrintServerConfig(again->config) == printed);
  IsLoopback(command->config.listen);
  return 0;
}
