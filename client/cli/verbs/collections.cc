#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {

void AddCollections(CLI::App& app, Command& command) {
  AddVerb(app, command, "collections", "list the collections", "bebr collections --json", [&command]() -> absl::Status {
    Client client = command.Connect();
    BEBR_ASSIGN_OR_RETURN(const auto response, client.ListCollections());
    if (command.json) {
      PrintJson(ToJson(response)["collections"]);
      return absl::OkStatus();
    }
    for (const v1::UnavailableCollection& unavailable : response.unavailable()) {
      std::fprintf(stderr, "%s cannot be opened: %s\n", unavailable.name().c_str(), unavailable.reason().c_str());
    }
    if (response.collections().empty() && response.unavailable().empty())
      std::printf("no collections; `bebr create` makes one\n");
    for (const v1::Collection& collection : response.collections()) {
      std::printf("%-24s %12s documents  %2zu versions, default %-12s memory %-9s disk %s\n", collection.name().c_str(),
                  WithCommas(collection.documents()).c_str(), static_cast<size_t>(collection.versions_size()),
                  collection.default_version().c_str(), HumanBytes(collection.memory().total()).c_str(),
                  HumanBytes(collection.disk_bytes()).c_str());
    }
    return absl::OkStatus();
  });
}

}  // namespace bebr
