#include "server/cluster/node_data.h"

#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/str_format.h"
#include "index/base/errno_status.h"
#include "index/base/file.h"
#include "index/base/replace_file.h"
#include "index/base/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/call/node_protocol.h"

namespace bebr {
namespace {

absl::StatusOr<bool> HasCollections(const std::string& data_dir) {
  std::error_code error;
  const std::filesystem::directory_iterator entries(data_dir + "/collections", error);
  if (!error) return entries != std::filesystem::directory_iterator();
  if (error == std::errc::no_such_file_or_directory) return false;
  return ErrnoStatus(error.value(), absl::StrFormat("\"%s/collections\" cannot be listed", data_dir));
}

absl::Status WriteNodeData(const std::string& data_dir, const std::string& path, const NodePlace& self) {
  BEBR_ASSIGN_OR_RETURN(const bool used, HasCollections(data_dir));
  if (used) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "data_dir \"%s\" has the collections of a server without cluster_self, whose documents are in no node's "
        "slots; give node %s an empty directory and import them through a gateway",
        data_dir, self.name));
  }
  const nlohmann::json json = {{"format", 1}, {"node", self.name}, {"slots", SlotsText(self)}};
  return ReplaceFile(path, json.dump() + "\n");
}

}  // namespace

absl::Status CheckNodeData(const std::string& data_dir, const NodePlace* self) {
  const std::string path = data_dir + "/cluster.json";
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) {
    return self == nullptr ? absl::OkStatus() : WriteNodeData(data_dir, path, *self);
  }
  BEBR_RETURN_IF_ERROR(text.status());
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("format") || json["format"] != 1 || !json.contains("node") ||
      !json.contains("slots"))
    return absl::DataLossError(absl::StrFormat("\"%s\" is no description of a node of format 1", path));
  const std::string name = json["node"].dump(), slots = json["slots"].dump();
  if (self == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrFormat("data_dir \"%s\" is that of node %s of a cluster; set cluster_nodes and cluster_self as they "
                        "were",
                        data_dir, name));
  }
  if (name == nlohmann::json(self->name).dump() && slots == nlohmann::json(SlotsText(*self)).dump())
    return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "data_dir \"%s\" has the documents of node %s with slots %s; by cluster_nodes this is node \"%s\" with slots "
      "\"%s\". Documents do not move from one data_dir to another: leave name and slots as they were, or start a node "
      "with an empty one, which with a log is filled from another replica (deploy/CLUSTER.md)",
      data_dir, name, slots, self->name, SlotsText(*self)));
}

}  // namespace bebr
