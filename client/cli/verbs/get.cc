#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string name;
  std::vector<std::string> ids;
  bool embeddings = false;
};

absl::Status Run(const Command& command, const Options& options) {
  v1::GetRequest request;
  request.set_collection(options.name);
  request.set_with_embeddings(options.embeddings);
  for (const std::string& id : options.ids) request.add_ids(id);
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const auto response, client.Get(request));
  if (command.json) {
    PrintJson(ToJson(response)["documents"]);
  } else {
    for (const v1::Document& document : response.documents()) {
      const auto json = ToJson(document);
      std::printf("%s  %s\n", document.id().c_str(), json["attributes"].dump().c_str());
      for (const v1::Embedding& embedding : document.embeddings()) {
        std::printf("    %s: %d stored floats%s\n", embedding.version().c_str(), embedding.vector().values_size(),
                    options.embeddings ? absl::StrCat(" ", ToJson(embedding.vector())["values"].dump()).c_str() : "");
      }
    }
  }
  const int missing = request.ids_size() - response.documents_size();
  if (missing == 0) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat(missing, " of ", request.ids_size(), " ids are not in \"", options.name, "\""));
}

}  // namespace

void AddGet(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, command, "get", "show documents", "bebr get papers p17 p18 --embeddings --json",
                           [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("ids", options->ids, "ids of documents")->required();
  verb->add_flag("--embeddings", options->embeddings, "also the stored floats");
}

}  // namespace bebr
