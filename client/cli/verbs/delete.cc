#include <algorithm>
#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"
#include "index/dataset/evaluation.h"

namespace bebr {
namespace {

constexpr size_t kBatchIds = 10000;

struct Options {
  std::string name;
  std::vector<std::string> ids;
  std::string ids_file;
};

absl::Status Run(const Command& command, const Options& options) {
  std::vector<std::string> ids = options.ids;
  if (!options.ids_file.empty()) {
    BEBR_ASSIGN_OR_RETURN(const auto more, ReadIds(options.ids_file));
    ids.insert(ids.end(), more.begin(), more.end());
  }
  if (ids.empty()) return absl::InvalidArgumentError("no ids: give them after the name, or in a file with --ids");
  Client client = command.Connect();
  uint64_t deleted = 0;
  for (size_t begin = 0; begin < ids.size(); begin += kBatchIds) {
    v1::DeleteRequest request;
    request.set_collection(options.name);
    for (size_t i = begin; i < std::min(begin + kBatchIds, ids.size()); ++i) request.add_ids(ids[i]);
    BEBR_ASSIGN_OR_RETURN(const auto response, client.Delete(request));
    deleted += response.deleted();
  }
  if (command.json) {
    PrintJson({{"deleted", deleted}});
  } else {
    std::printf("deleted %s documents\n", WithCommas(deleted).c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddDelete(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, command, "delete", "delete documents; ids that do not exist are ignored",
                           "bebr delete papers p17 p18", [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("ids", options->ids, "ids of documents");
  verb->add_option("--ids", options->ids_file, "file of ids, one a line");
}

}  // namespace bebr
