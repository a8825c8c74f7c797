#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "client/cli/attribute.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string name;
  std::vector<std::string> ids;
  std::string ids_file;
  std::string filter;
  std::vector<std::string> set;
  std::vector<std::string> remove;
  bool clear = false;
};

absl::Status SetValue(const std::string& assignment, google::protobuf::Map<std::string, v1::AttributeValue>* out) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(absl::StrFormat("--set \"%s\" is not NAME=VALUE", assignment));
  }
  const std::string name = assignment.substr(0, equals);
  return ReadAttribute(name, assignment.substr(equals + 1), &(*out)[name]);
}

struct Outcome {
  uint64_t documents = 0;
  std::vector<std::string> unknown_ids;
};

absl::Status Send(Client& client, const v1::UpdateAttributesRequest& request, Outcome& outcome) {
  BEBR_ASSIGN_OR_RETURN(const auto response, client.UpdateAttributes(request));
  outcome.documents += response.documents();
  outcome.unknown_ids.insert(outcome.unknown_ids.end(), response.unknown_ids().begin(), response.unknown_ids().end());
  PrintWarnings(response.warnings());
  return absl::OkStatus();
}

absl::StatusOr<Outcome> Update(const Command& command, const Options& options) {
  v1::UpdateAttributesRequest request;
  request.set_collection(options.name);
  for (const std::string& assignment : options.set) {
    BEBR_RETURN_IF_ERROR(SetValue(assignment, request.mutable_set()));
  }
  for (const std::string& name : options.remove) request.add_remove(name);
  request.set_clear(options.clear);
  Outcome outcome;
  Client client = command.Connect();
  if (!options.filter.empty()) {
    request.set_filter(options.filter);
    BEBR_RETURN_IF_ERROR(Send(client, request, outcome));
    return outcome;
  }
  BEBR_ASSIGN_OR_RETURN(const auto ids, GivenIds(options.ids, options.ids_file,
                                                 "after the name, or in a file with --ids, or a --filter"));
  for (size_t begin = 0; begin < ids.size(); begin += kBatchIds) {
    request.clear_ids();
    for (size_t i = begin; i < std::min(begin + kBatchIds, ids.size()); ++i) request.add_ids(ids[i]);
    BEBR_RETURN_IF_ERROR(Send(client, request, outcome));
  }
  return outcome;
}

absl::Status Run(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const Outcome outcome, Update(command, options));
  if (command.json) {
    PrintJson({{"documents", outcome.documents}, {"unknown_ids", outcome.unknown_ids}});
  } else {
    std::printf("updated %s documents\n", WithCommas(outcome.documents).c_str());
  }
  if (outcome.unknown_ids.empty()) return absl::OkStatus();
  return absl::NotFoundError(absl::StrFormat("%s ids are not in \"%s\", the first is %s",
                                             WithCommas(outcome.unknown_ids.size()), options.name,
                                             IdText(outcome.unknown_ids[0])));
}

}  // namespace

void AddUpdate(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, command, "update", "change attributes of documents; embeddings stay as they are",
                           "bebr update papers --filter 'year < 2000' --set old=true --remove draft",
                           [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  CLI::Option* ids = verb->add_option("ids", options->ids, "ids of documents");
  CLI::Option* file = verb->add_option("--ids", options->ids_file, "file of ids, one a line, as scroll prints them");
  verb->add_option("--filter", options->filter, "all documents that satisfy it, at once (at most 100,000)")
      ->excludes(ids)
      ->excludes(file);
  verb->add_option("--set", options->set,
                   "NAME=VALUE, as often as wanted: 7, 1.5, true and \"7\" are read as JSON, all else is text")
      ->check([](const std::string& assignment) {
        google::protobuf::Map<std::string, v1::AttributeValue> set;
        return std::string(SetValue(assignment, &set).message());
      })
      ->take_all()
      ->allow_extra_args(false);
  verb->add_option("--remove", options->remove, "name of an attribute that goes, as often as wanted")
      ->take_all()
      ->allow_extra_args(false);
  verb->add_flag("--clear", options->clear, "all attributes go, but those that --set gives");
}

}  // namespace bebr
