#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {

void AddCollections(CLI::App& app, Command& command) {
  AddVerb(app, command, "collections", "list the collections", "bebr collections --json", [&command]() -> absl::Status {
    Client client = command.Connect();
    BEBR_ASSIGN_OR_RETURN(const auto response, client.ListCollections());
    if (command.json) {
      // One list of all names: who goes through it, as a backup does, passes over none.
      auto all = ToJson(response)["collections"];
      if (all.is_null()) all = nlohmann::ordered_json::array();
      for (const v1::UnavailableCollection& collection : response.unavailable())
        all.push_back({{"name", collection.name()}, {"unavailable", collection.reason()}});
      PrintJson(all);
      return absl::OkStatus();
    }
    if (response.collections().empty() && response.unavailable().empty())
      std::printf("no collections; `bebr create` makes one\n");
    for (const v1::Collection& collection : response.collections()) {
      std::printf("%-24s %12s documents  %2zu versions, default %-12s memory %-9s disk %s\n", collection.name().c_str(),
                  WithCommas(collection.documents()).c_str(), static_cast<size_t>(collection.versions_size()),
                  collection.default_version().c_str(), HumanBytes(collection.memory().total()).c_str(),
                  HumanBytes(collection.disk_bytes()).c_str());
      if (!collection.problem().empty()) std::printf("%-24s takes no writes: %s\n", "", collection.problem().c_str());
    }
    for (const v1::UnavailableCollection& collection : response.unavailable())
      std::printf("%-24s unavailable: %s\n", collection.name().c_str(), collection.reason().c_str());
    return absl::OkStatus();
  });
}

}  // namespace bebr
