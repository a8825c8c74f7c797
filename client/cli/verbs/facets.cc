#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

absl::Status Run(const Command& command, const v1::FacetRequest& request) {
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const auto found, client.Facets(request));
  PrintWarnings(found.warnings());
  if (command.json) {
    PrintJson(ToJson(found));
    return absl::OkStatus();
  }
  for (const auto& facet : found.facets()) {
    std::printf("%12s  %s\n", WithCommas(facet.documents()).c_str(), ToJson(facet)["value"].dump().c_str());
  }
  std::printf("%s values; %s of %s documents have \"%s\"\n", WithCommas(found.values()).c_str(),
              WithCommas(found.with_attribute()).c_str(), WithCommas(found.documents()).c_str(),
              request.attribute().c_str());
  return absl::OkStatus();
}

}  // namespace

void AddFacets(CLI::App& app, Command& command) {
  auto request = std::make_shared<v1::FacetRequest>();
  CLI::App* verb = AddVerb(app, command, "facets", "the values of an attribute and how many documents have each",
                           "bebr facets papers lang --filter 'year >= 2020'",
                           [&command, request] { return Run(command, *request); });
  verb->add_option_function<std::string>(
          "name", [request](const std::string& name) { request->set_collection(name); }, "name of the collection")
      ->required();
  verb->add_option_function<std::string>(
          "attribute", [request](const std::string& name) { request->set_attribute(name); }, "name of the attribute")
      ->required();
  verb->add_option_function<std::string>(
      "--filter", [request](const std::string& filter) { request->set_filter(filter); },
      "only documents with such attributes");
  verb->add_flag_function(
      "--strict", [request](int64_t) { request->set_strict(true); },
      "an attribute, or one in the filter, that no document has is an error");
  verb->add_option_function<uint32_t>(
          "--limit", [request](const uint32_t& limit) { request->set_limit(limit); },
          "the most frequent so many, 1 to 10,000; 100 without it")
      ->check(CLI::Range(1, 10000));
}

}  // namespace bebr
