#include <memory>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr size_t kNamedIds = 10;

struct Options {
  std::string name;
  std::vector<std::string> ids;
  std::string ids_file;
  bool embeddings = false;
};

void Print(const v1::Document& document, bool embeddings) {
  const auto json = ToJson(document);
  std::printf("%s  %s\n", IdText(document.id()).c_str(), json["attributes"].dump().c_str());
  for (const v1::Embedding& embedding : document.embeddings()) {
    std::printf("    %s: %d stored floats%s\n", embedding.version().c_str(), embedding.vector().values_size(),
                embeddings ? absl::StrCat(" ", ToJson(embedding.vector())["values"].dump()).c_str() : "");
  }
}

absl::Status Run(const Command& command, const Options& options) {
  v1::StreamGetRequest request;
  request.set_collection(options.name);
  request.set_with_embeddings(options.embeddings);
  BEBR_ASSIGN_OR_RETURN(const auto ids,
                        GivenIds(options.ids, options.ids_file, "after the name, or in a file with --ids"));
  request.mutable_ids()->Add(ids.begin(), ids.end());
  Client client = command.Connect();
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  absl::flat_hash_set<std::string> missing(ids.begin(), ids.end());
  BEBR_RETURN_IF_ERROR(client.StreamGet(request, [&](const v1::GetResponse& piece) {
    for (const v1::Document& document : piece.documents()) {
      missing.erase(document.id());
      if (command.json) {
        list.push_back(ToJson(document));
      } else {
        Print(document, options.embeddings);
      }
    }
    return absl::OkStatus();
  }));
  if (command.json) PrintJson(list);
  if (missing.empty()) return absl::OkStatus();
  const size_t count = missing.size();
  std::vector<std::string> names;  // in the order they were given
  for (const std::string& id : ids) {
    if (names.size() < kNamedIds && missing.erase(id) > 0) names.push_back(IdText(id));
  }
  return absl::NotFoundError(absl::StrFormat("%d of %d ids are not in \"%s\": %s%s", count, ids.size(), options.name,
                                             absl::StrJoin(names, ", "), missing.empty() ? "" : ", ..."));
}

}  // namespace

void AddGet(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, command, "get", "show documents", "bebr get papers p17 p18 --embeddings --json",
                           [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("ids", options->ids, "ids of documents");
  verb->add_option("--ids", options->ids_file, "file of ids, one a line, as scroll prints them");
  verb->add_flag("--embeddings", options->embeddings, "also the stored floats");
}

}  // namespace bebr
