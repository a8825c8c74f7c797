#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {

void AddCount(CLI::App& app, Command& command) {
  auto name = std::make_shared<std::string>();
  CLI::App* verb = AddVerb(app, command, "count", "documents of a collection", "bebr count papers",
                           [&command, name]() -> absl::Status {
                             Client client = command.Connect();
                             BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.GetCollection(*name));
                             if (command.json) {
                               PrintJson({{"documents", collection.documents()}});
                             } else {
                               std::printf("%llu\n", static_cast<unsigned long long>(collection.documents()));
                             }
                             return absl::OkStatus();
                           });
  verb->add_option("name", *name, "name of the collection")->required();
}

}  // namespace bebr
