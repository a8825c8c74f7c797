#include <algorithm>
#include <memory>

#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string name;
  std::vector<std::string> ids;
  std::string ids_file;
  std::string filter;
};

absl::StatusOr<uint64_t> DeleteByFilter(const Command& command, const Options& options) {
  v1::DeleteRequest request;
  request.set_collection(options.name);
  request.set_filter(options.filter);
  BEBR_ASSIGN_OR_RETURN(const auto response, command.Connect().Delete(request));
  PrintWarnings(response.warnings());
  return response.deleted();
}

absl::StatusOr<uint64_t> DeleteByIds(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const auto ids, GivenIds(options.ids, options.ids_file,
                                                 "after the name, or in a file with --ids, or a --filter"));
  Client client = command.Connect();
  uint64_t deleted = 0;
  for (size_t begin = 0; begin < ids.size(); begin += kBatchIds) {
    v1::DeleteRequest request;
    request.set_collection(options.name);
    for (size_t i = begin; i < std::min(begin + kBatchIds, ids.size()); ++i) request.add_ids(ids[i]);
    BEBR_ASSIGN_OR_RETURN(const auto response, client.Delete(request));
    deleted += response.deleted();
  }
  return deleted;
}

absl::Status Run(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const uint64_t deleted,
                        options.filter.empty() ? DeleteByIds(command, options) : DeleteByFilter(command, options));
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
  CLI::Option* ids = verb->add_option("ids", options->ids, "ids of documents");
  CLI::Option* file = verb->add_option("--ids", options->ids_file, "file of ids, one a line, as scroll prints them");
  verb->add_option("--filter", options->filter, "all documents that satisfy it, at once (at most 1,000,000)")
      ->excludes(ids)
      ->excludes(file);
}

}  // namespace bebr
