#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {

void AddCount(CLI::App& app, Command& command) {
  auto name = std::make_shared<std::string>(), filter = std::make_shared<std::string>();
  CLI::App* verb = AddVerb(app, command, "count", "documents of a collection",
                           "bebr count papers --filter 'year >= 2020'", [&command, name, filter]() -> absl::Status {
                             Client client = command.Connect();
                             v1::CountRequest request;
                             request.set_collection(*name);
                             request.set_filter(*filter);
                             BEBR_ASSIGN_OR_RETURN(const auto counted, client.Count(request));
                             if (command.json) {
                               PrintJson({{"documents", counted.documents()}});
                             } else {
                               std::printf("%llu\n", static_cast<unsigned long long>(counted.documents()));
                             }
                             return absl::OkStatus();
                           });
  verb->add_option("name", *name, "name of the collection")->required();
  verb->add_option("--filter", *filter, "only documents with such attributes");
}

}  // namespace bebr
