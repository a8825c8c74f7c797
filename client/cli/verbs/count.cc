#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string name;
  std::string filter;
  bool strict = false;
};

absl::Status Run(const Command& command, const Options& options) {
  Client client = command.Connect();
  v1::CountRequest request;
  request.set_collection(options.name);
  request.set_filter(options.filter);
  request.set_strict(options.strict);
  BEBR_ASSIGN_OR_RETURN(const auto counted, client.Count(request));
  PrintWarnings(counted.warnings());
  if (command.json) {
    nlohmann::ordered_json json{{"documents", counted.documents()}};
    if (counted.may_be_stale()) json["may_be_stale"] = true;
    PrintJson(json);
  } else {
    std::printf("%llu\n", static_cast<unsigned long long>(counted.documents()));
  }
  return absl::OkStatus();
}

}  // namespace

void AddCount(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      AddVerb(app, command, "count", "documents of a collection", "bebr count papers --filter 'year >= 2020'",
              [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("--filter", options->filter, "only documents with such attributes");
  AddStrict(verb, options->strict);
}

}  // namespace bebr
