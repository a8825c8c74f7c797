#include "index/follow/follower_state.h"

#include <nlohmann/json.hpp>

#include "index/base/replace_file.h"
#include "index/base/status_macros.h"
#include "index/catalog/checked_json.h"

namespace bebr {
namespace {

constexpr uint32_t kFormat = 1;
constexpr const char* kHalfFilled = "it was being filled from another replica";

std::string PathIn(const std::string& data_dir) { return data_dir + "/log.json"; }

absl::Status ReadState(const nlohmann::json& json, FollowerState& state) {
  state.place.position = json.at("position").get<uint64_t>();
  state.place.append = {json.at("append").at(0).get<uint64_t>(), json.at("append").at(1).get<uint64_t>()};
  state.barrier = json.at("barrier").get<uint64_t>();
  state.quarantined = json.at("quarantined").get<std::string>();
  for (const auto& [name, revision] : json.at("collections").items())
    state.collections[name] = revision.get<uint64_t>();
  state.dropped_snapshots = json.value("dropped_snapshots", std::vector<std::string>());
  state.filling = json.value("filling", false);
  state.log = json.value("log", uint64_t{0});
  if (state.filling) state.quarantined.clear();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<FollowerState>> ReadFollowerState(const std::string& data_dir) {
  FollowerState state;
  const absl::Status read = ReadCheckedJson(PathIn(data_dir), kFormat, /*needed=*/false,
                                            [&](const nlohmann::json& json) { return ReadState(json, state); });
  if (absl::IsNotFound(read)) return std::nullopt;
  BEBR_RETURN_IF_ERROR(read);
  return state;
}

std::string EncodeFollowerState(const FollowerState& state) {
  nlohmann::json json = {{"format", kFormat},
                         {"position", state.place.position},
                         {"append", {state.place.append.high, state.place.append.low}},
                         {"barrier", state.barrier},
                         {"quarantined", state.quarantined},
                         {"collections", state.collections}};
  if (!state.dropped_snapshots.empty()) json["dropped_snapshots"] = state.dropped_snapshots;
  if (state.log != 0) json["log"] = state.log;
  if (state.filling) {
    json["filling"] = true;
    json["quarantined"] = kHalfFilled;  // so a server that does not know the key does not serve
  }
  return WriteCheckedJson(json);
}

absl::StatusOr<FollowerState> DecodeFollowerState(const std::string& text) {
  FollowerState state;
  try {
    nlohmann::json json = nlohmann::json::parse(text);
    BEBR_RETURN_IF_ERROR(CheckFormat(json, kFormat));
    BEBR_RETURN_IF_ERROR(CheckJson(json, /*needed=*/true));
    BEBR_RETURN_IF_ERROR(ReadState(json, state));
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(error.what());
  }
  return state;
}

absl::Status WriteFollowerState(const std::string& data_dir, const FollowerState& state) {
  return ReplaceFile(PathIn(data_dir), EncodeFollowerState(state));
}

}  // namespace bebr
