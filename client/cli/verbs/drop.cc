#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {

void AddDrop(CLI::App& app, Command& command) {
  auto name = std::make_shared<std::string>();
  CLI::App* verb = AddVerb(app, command, "drop", "delete a collection with all its documents, for good",
                           "bebr drop papers", [&command, name]() -> absl::Status {
                             Client client = command.Connect();
                             BEBR_RETURN_IF_ERROR(client.DeleteCollection(*name));
                             if (command.json) {
                               PrintJson({{"dropped", *name}});
                             } else {
                               std::printf("dropped %s\n", name->c_str());
                             }
                             return absl::OkStatus();
                           });
  verb->add_option("name", *name, "name of the collection")->required();
}

}  // namespace bebr
