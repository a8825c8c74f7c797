#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string name;
  std::string collection;
  std::string expected;
  CLI::Option* expect = nullptr;  // tells an empty text from none
};

absl::Status List(const Command& command) {
  BEBR_ASSIGN_OR_RETURN(const auto response, command.Connect().ListAliases());
  if (command.json) {
    PrintJson(ToJson(response)["aliases"]);
    return absl::OkStatus();
  }
  if (response.aliases().empty()) std::printf("no aliases; `bebr alias set` makes one\n");
  for (const v1::Alias& alias : response.aliases()) {
    std::printf("%-24s -> %s\n", alias.name().c_str(), alias.collection().c_str());
  }
  return absl::OkStatus();
}

absl::Status Set(const Command& command, const Options& options) {
  v1::SetAliasRequest request;
  request.mutable_alias()->set_name(options.name);
  request.mutable_alias()->set_collection(options.collection);
  if (options.expect->count() > 0) request.set_expected_collection(options.expected);
  BEBR_RETURN_IF_ERROR(command.Connect().SetAlias(request));
  return List(command);
}

}  // namespace

void AddAlias(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* group = AddGroup(app, command, "alias", "other names of collections");
  CLI::App* set = AddVerb(*group, command, "set", "make or switch an alias, at once for all clients",
                          "bebr alias set live papers_2025 --expect papers_2024",
                          [&command, options] { return Set(command, *options); });
  set->add_option("name", options->name, "name of the alias")->required();
  set->add_option("collection", options->collection, "the collection it names from now on")->required();
  options->expect = set->add_option("--expect,--expected", options->expected,
                                    "fail if it does not name this collection now; \"\": fail if it exists");
  AddVerb(*group, command, "list", "list the aliases", "bebr alias list", [&command] { return List(command); });
  CLI::App* remove = AddVerb(*group, command, "delete", "delete an alias; its collection stays",
                             "bebr alias delete live", [&command, options]() -> absl::Status {
                               BEBR_RETURN_IF_ERROR(command.Connect().DeleteAlias(options->name));
                               return List(command);
                             });
  remove->add_option("name", options->name, "name of the alias")->required();
}

}  // namespace bebr
