#include "index/follow/follower_state.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/errno_status.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace bebr {
namespace {

constexpr int kFormat = 1;

std::string PathIn(const std::string& data_dir) { return data_dir + "/log.json"; }

}  // namespace

bool HasFollowerState(const std::string& data_dir) { return std::filesystem::exists(PathIn(data_dir)); }

absl::StatusOr<FollowerState> ReadFollowerState(const std::string& data_dir) {
  FollowerState state;
  if (!HasFollowerState(data_dir)) return state;
  BEBR_ASSIGN_OR_RETURN(const std::string text, ReadFile(PathIn(data_dir)));
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    if (json.at("format").get<int>() != kFormat) {
      return absl::FailedPreconditionError(absl::StrFormat("\"%s\" has format %d; this server reads format %d",
                                                           PathIn(data_dir), json.at("format").get<int>(), kFormat));
    }
    state.place.position = json.at("position").get<uint64_t>();
    state.place.append = {json.at("append").at(0).get<uint64_t>(), json.at("append").at(1).get<uint64_t>()};
    state.barrier = json.at("barrier").get<uint64_t>();
    state.quarantined = json.at("quarantined").get<std::string>();
    for (const auto& [name, revision] : json.at("collections").items())
      state.collections[name] = revision.get<uint64_t>();
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(
        absl::StrFormat("\"%s\" is no state of a follower of format %d: %s", PathIn(data_dir), kFormat, error.what()));
  }
  return state;
}

absl::Status WriteFollowerState(const std::string& data_dir, const FollowerState& state) {
  const nlohmann::json json = {{"format", kFormat},
                               {"position", state.place.position},
                               {"append", {state.place.append.high, state.place.append.low}},
                               {"barrier", state.barrier},
                               {"quarantined", state.quarantined},
                               {"collections", state.collections}};
  const std::string path = PathIn(data_dir), fresh = path + ".new", text = json.dump() + "\n";
  const int file = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return ErrnoStatus(errno, absl::StrCat("\"", fresh, "\" cannot be made"));
  const bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  close(file);
  if (!written) return ErrnoStatus(error, absl::StrCat("\"", fresh, "\" cannot be written"));
  return RenameSynced(fresh, path);
}

}  // namespace bebr
