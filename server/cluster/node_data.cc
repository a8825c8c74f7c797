#include "server/cluster/node_data.h"

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
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

// What cluster.json says; null: the directory is no node's.
absl::StatusOr<nlohmann::json> ReadNodeData(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadDataFile(path);
  if (absl::IsNotFound(text.status())) return nlohmann::json();
  BEBR_RETURN_IF_ERROR(text.status());
  nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("format") && json["format"] == 1 && json.contains("node") &&
      json.contains("slots"))
    return json;
  return absl::DataLossError(absl::StrFormat("\"%s\" is no description of a node of format 1", path));
}

}  // namespace

absl::Status CheckNodeHas(const std::string& data_dir, uint32_t first_slot, uint32_t last_slot) {
  BEBR_ASSIGN_OR_RETURN(const nlohmann::json json, ReadNodeData(data_dir + "/cluster.json"));
  if (json.is_null()) return absl::OkStatus();
  const std::vector<std::string> slots =
      absl::StrSplit(json["slots"].is_string() ? json["slots"].get<std::string>() : "", '-');
  uint32_t first = 0, last = 0;
  if (slots.size() != 2 || !absl::SimpleAtoi(slots[0], &first) || !absl::SimpleAtoi(slots[1], &last))
    return absl::DataLossError(absl::StrFormat("\"%s/cluster.json\" has no slots", data_dir));
  if (first <= first_slot && last_slot <= last) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("data_dir \"%s\" is that of node %s, which has the documents of slots %d-%d, and not all of "
                      "%d-%d: cut what it has, "
                      "and the rest of the nodes that have it",
                      data_dir, json["node"].dump(), first, last, first_slot, last_slot));
}

absl::Status CheckNodeData(const std::string& data_dir, const NodePlace* self) {
  const std::string path = data_dir + "/cluster.json";
  BEBR_ASSIGN_OR_RETURN(const nlohmann::json json, ReadNodeData(path));
  if (json.is_null()) return self == nullptr ? absl::OkStatus() : WriteNodeData(data_dir, path, *self);
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
