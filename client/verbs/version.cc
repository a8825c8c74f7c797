#include <memory>

#include "client/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string collection;
  std::string version;
  std::string model_file;
  std::string compatible_with;
  std::string expected_default;
};

absl::Status Show(const Command& command, const absl::StatusOr<v1::Collection>& collection) {
  if (!collection.ok()) return collection.status();
  if (command.json) {
    PrintJson({{"default_version", collection->default_version()}, {"versions", ToJson(*collection)["versions"]}});
    return absl::OkStatus();
  }
  for (const v1::Version& version : collection->versions()) {
    std::printf("%-16s %-8s %-8s space %u  %s (%u bits)  %s documents  %s\n", version.name().c_str(),
                version.state() == v1::VERSION_STATE_RETIRED ? "retired" : "active",
                version.name() == collection->default_version() ? "default" : "", version.space(),
                version.code().c_str(), version.bits(), WithCommas(version.documents()).c_str(),
                version.model().c_str());
  }
  return absl::OkStatus();
}

absl::Status Add(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const std::string model, ReadWholeFile("model file", options.model_file));
  v1::VersionConfig config;
  config.set_collection(options.collection);
  config.set_name(options.version);
  config.set_compatible_with(options.compatible_with);
  return Show(command, command.Connect().AddVersion(config, model));
}

absl::Status Promote(const Command& command, const Options& options) {
  v1::PromoteVersionRequest request;
  request.set_collection(options.collection);
  request.set_version(options.version);
  request.set_expected_default(options.expected_default);
  return Show(command, command.Connect().PromoteVersion(request));
}

absl::Status Retire(const Command& command, const Options& options) {
  v1::RetireVersionRequest request;
  request.set_collection(options.collection);
  request.set_version(options.version);
  return Show(command, command.Connect().RetireVersion(request));
}

}  // namespace

void AddVersion(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* group = app.add_subcommand("version", "add, list, promote and retire embedding versions");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* description, absl::Status (*run)(const Command&, const Options&),
                       bool names_one) {
    CLI::App* verb =
        AddVerb(*group, command, name, description, [&command, options, run] { return run(command, *options); });
    verb->add_option("name", options->collection, "name of the collection")->required();
    if (names_one) verb->add_option("version", options->version, "name of the version")->required();
    return verb;
  };
  CLI::App* added = add("add", "add a version", Add, true);
  added->add_option("--model", options->model_file, "its binarizer: a safetensors file of bebr-train")->required();
  added->add_option("--compatible-with", options->compatible_with,
                    "map into the space of this version, for a model trained for it; a space of its own without it");
  add(
      "list", "list the versions",
      [](const Command& c, const Options& o) { return Show(c, c.Connect().GetCollection(o.collection)); }, false);
  CLI::App* promoted = add("promote", "make a version the default", Promote, true);
  promoted->add_option("--expected-default", options->expected_default, "fail if the default is not this version");
  add("retire", "drop a version, its floats and unshared codes", Retire, true);
}

}  // namespace bebr
