#include "index/cluster/placement_log.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

using nlohmann::json;

// index/replica/FORMAT.md
constexpr int kFormat = 1;
constexpr std::pair<MemberState, std::string_view> kStates[] = {
    {MemberState::kJoining, "joining"}, {MemberState::kServing, "serving"}, {MemberState::kDraining, "draining"}};
constexpr uint32_t kShard = 0;
constexpr size_t kPageBytes = size_t{1} << 20;
constexpr int kTries = 10;

std::string NameOf(MemberState state) {
  for (const auto& [one, name] : kStates) {
    if (one == state) return std::string(name);
  }
  return "";
}

absl::StatusOr<MemberState> StateOf(const std::string& name) {
  for (const auto& [state, one] : kStates) {
    if (one == name) return state;
  }
  return absl::FailedPreconditionError(
      absl::StrFormat("the placement has a member that is \"%s\", which this server does not know: upgrade it", name));
}

}  // namespace

void UseConfigured(const std::vector<Member>& own, Placement& placement) {
  for (Member& member : placement.members) {
    for (const Member& one : own) {
      if (member.configured && one.place.name == member.place.name) member.place.address = one.place.address;
    }
  }
}

std::string EncodePlacement(const Placement& placement) {
  json members = json::array();
  for (const auto& [place, state, configured] : placement.members) {
    members.push_back({{"name", place.name},
                       {"address", place.address},
                       {"configured", configured},
                       {"slots", {place.first_slot, place.last_slot}},
                       {"state", NameOf(state)}});
  }
  return json{{"format", kFormat}, {"members", members}}.dump();
}

absl::StatusOr<Placement> DecodePlacement(std::string_view text) {
  Placement placement;
  try {
    const json object = json::parse(text);
    if (object.at("format") != kFormat) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "the placement has format %s; this server reads %d: upgrade it", object.at("format").dump(), kFormat));
    }
    for (const json& one : object.at("members")) {
      Member member{.place = {.name = one.at("name"),
                              .address = one.at("address"),
                              .first_slot = one.at("slots").at(0),
                              .last_slot = one.at("slots").at(1)},
                    .configured = one.at("configured")};
      BEBR_ASSIGN_OR_RETURN(member.state, StateOf(one.at("state").get<std::string>()));
      placement.members.push_back(std::move(member));
    }
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrFormat("the placement cannot be read: %s", error.what()));
  }
  return placement;
}

absl::Status PlacementLog::Update() {
  if (log_ == nullptr) {
    BEBR_ASSIGN_OR_RETURN(log_, open_());
  }
  for (;;) {
    auto page = log_->Read(place_, std::vector<uint32_t>{kShard}, kPageBytes);
    if (!page.ok()) {
      log_.reset();
      // An older state of it was restored: what that says counts.
      if (absl::IsDataLoss(page.status())) place_ = {};
      return page.status();
    }
    if (page->places.empty()) return absl::OkStatus();
    if (!page->entries.empty()) {
      BEBR_ASSIGN_OR_RETURN(placement_, DecodePlacement(page->entries.back().bytes));
      placement_.revision = page->entries.back().position;
    }
    place_ = page->place;
  }
}

absl::StatusOr<Placement> PlacementLog::Read() {
  MutexLock lock(&mutex_);
  BEBR_RETURN_IF_ERROR(Update());
  return placement_;
}

absl::Status PlacementLog::TryChange(absl::FunctionRef<absl::Status(Placement&)> change) {
  BEBR_RETURN_IF_ERROR(Update());
  BEBR_ASSIGN_OR_RETURN(const LogWriter writer, log_->BeginWriter(kPlacementLogName));
  // From here on nobody who had begun before changes it.
  BEBR_RETURN_IF_ERROR(Update());
  Placement changed = placement_;
  BEBR_RETURN_IF_ERROR(change(changed));
  std::sort(changed.members.begin(), changed.members.end(), [](const Member& a, const Member& b) {
    return std::tie(a.place.first_slot, a.place.name) < std::tie(b.place.first_slot, b.place.name);
  });
  const std::string text = EncodePlacement(changed);
  if (text == EncodePlacement(placement_)) return absl::OkStatus();
  const auto place = log_->Append(writer, writer.number + 1, std::vector<LogRecord>{{kShard, text}});
  if (absl::IsFailedPrecondition(place.status())) return absl::AbortedError(place.status().message());
  BEBR_RETURN_IF_ERROR(place.status());
  return Update();
}

absl::StatusOr<Placement> PlacementLog::Change(absl::FunctionRef<absl::Status(Placement&)> change) {
  MutexLock lock(&mutex_);
  absl::Status changed;
  for (int tries = 0; tries < kTries; ++tries) {
    changed = TryChange(change);
    if (!absl::IsAborted(changed)) break;
  }
  if (absl::IsAborted(changed)) {
    return absl::UnavailableError(
        absl::StrFormat("others change the placement all the time; try again: %s", changed.message()));
  }
  BEBR_RETURN_IF_ERROR(changed);
  return placement_;
}

}  // namespace bebr
