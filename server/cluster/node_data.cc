#include "server/cluster/node_data.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/errno_status.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/call/node_protocol.h"

namespace bebr {
namespace {

bool HasCollections(const std::string& data_dir) {
  std::error_code error;
  std::filesystem::directory_iterator entries(data_dir + "/collections", error);
  return !error && entries != std::filesystem::directory_iterator();
}

absl::Status WriteSynced(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const int file = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return ErrnoStatus(errno, absl::StrCat("\"", fresh, "\" cannot be made"));
  const bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  close(file);
  if (!written) return ErrnoStatus(error, absl::StrCat("\"", fresh, "\" cannot be written"));
  return RenameSynced(fresh, path);
}

}  // namespace

absl::Status CheckNodeData(const std::string& data_dir, const NodePlace* self) {
  const std::string path = data_dir + "/cluster.json";
  if (!std::filesystem::exists(path)) {
    if (self == nullptr) return absl::OkStatus();
    if (HasCollections(data_dir)) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "data_dir \"%s\" has the collections of a server without cluster_self, whose documents are in no node's "
          "slots; give node %s an empty directory and import them through a gateway",
          data_dir, self->name));
    }
    const nlohmann::json json = {{"format", 1}, {"node", self->name}, {"slots", SlotsText(*self)}};
    return WriteSynced(path, json.dump() + "\n");
  }
  BEBR_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("format", 0) != 1 || !json.contains("node") || !json.contains("slots"))
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
      "\"%s\". Documents cannot move between nodes yet: leave name and slots as they were, or import into empty nodes",
      data_dir, name, slots, self->name, SlotsText(*self)));
}

}  // namespace bebr
