#include "index/cluster/node_claim.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr size_t kPageBytes = size_t{1} << 20;
// Of the time between two claims of one that is refused: who does not answer within it is gone.
constexpr double kPatience = 2.5;

std::string Drawn() {
  absl::BitGen random;
  return absl::StrFormat("%016x%016x", absl::Uniform<uint64_t>(random), absl::Uniform<uint64_t>(random));
}

}  // namespace

std::string EncodeClaim(const Claim& claim) {
  return json{{"format", kFormat},
              {"node", claim.node},
              {"server", claim.server},
              {"since", claim.since},
              {"where", claim.where}}
      .dump();
}

absl::StatusOr<Claim> DecodeClaim(std::string_view text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || object.value("format", json()) != kFormat)
    return absl::DataLossError(absl::StrFormat("a node's claim is none of format %d", kFormat));
  try {
    return Claim{.node = object.at("node"),
                 .server = object.at("server"),
                 .where = object.at("where"),
                 .since = object.at("since")};
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrFormat("a node's claim cannot be read: %s", error.what()));
  }
}

NodeClaim::NodeClaim(OpenLog open, std::string node, std::string where, absl::Duration again)
    : open_(std::move(open)),
      node_(std::move(node)),
      where_(std::move(where)),
      server_(Drawn()),
      again_(again),
      shard_(static_cast<uint32_t>(StableHash(node_) % kMaxLogShards)) {}

absl::Status NodeClaim::Check() {
  MutexLock lock(&mutex_);
  if (const absl::Status updated = Update(); !updated.ok()) {
    log_.reset();
    writer_.reset();
    // An older state of it was restored.
    if (absl::IsDataLoss(updated)) since_ = 0;
  }
  if (before_.has_value() && SteadyNow() - heard_ > kPatience * again_) before_.reset();
  if (!before_.has_value()) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrFormat("another server, %s, has begun before as node %s, and runs: give this one, %s, another name "
                      "(cluster_self, with an empty data_dir), or stop the other one",
                      before_->where, node_, where_));
}

std::string NodeClaim::Later() {
  MutexLock lock(&mutex_);
  if (later_.empty() || SteadyNow() - heard_later_ > kPatience * again_) return "";
  return absl::StrFormat(
      "another server, %s, was started as node %s too; it does nothing: give it another name (cluster_self, with an "
      "empty data_dir), or stop it",
      later_, node_);
}

absl::Status NodeClaim::Update() {
  if (log_ == nullptr) {
    BEBR_ASSIGN_OR_RETURN(log_, open_());
  }
  if (since_ == 0) {
    BEBR_ASSIGN_OR_RETURN(const LogState state, log_->State());
    heard_up_to_ = state.head;
    BEBR_RETURN_IF_ERROR(Say());
  }
  BEBR_RETURN_IF_ERROR(Hear());
  const bool asks = before_.has_value() && SteadyNow() - said_ >= again_;
  return owes_ || asks ? Say() : absl::OkStatus();
}

absl::Status NodeClaim::Say() {
  if (!writer_.has_value()) {
    BEBR_ASSIGN_OR_RETURN(writer_, log_->BeginWriter(server_));
  }
  const std::string text = EncodeClaim({.node = node_, .server = server_, .where = where_, .since = since_});
  BEBR_ASSIGN_OR_RETURN(const LogPlace place,
                        log_->Append(*writer_, writer_->number + 1, std::vector<LogRecord>{{shard_, text}}));
  ++writer_->number;
  if (since_ == 0) since_ = place.position;
  said_ = SteadyNow();
  owes_ = false;
  return absl::OkStatus();
}

absl::Status NodeClaim::Hear() {
  for (;;) {
    BEBR_ASSIGN_OR_RETURN(const LogPage page, log_->Read(heard_up_to_, std::vector<uint32_t>{shard_}, kPageBytes));
    if (page.places.empty()) return absl::OkStatus();
    heard_up_to_ = page.place;
    for (const LogEntry& entry : page.entries) {
      auto claim = DecodeClaim(entry.bytes);  // of a later release it is not understood
      if (!claim.ok() || claim->node != node_ || claim->server == server_) continue;
      if (claim->since == 0) claim->since = entry.position;
      if (claim->since < since_) {
        heard_ = SteadyNow();
        before_ = *std::move(claim);
        continue;
      }
      owes_ = true;
      later_ = claim->where;
      heard_later_ = SteadyNow();
      if (!told_.insert(claim->server).second) continue;
      LogError("another server, {}, has begun as node {}, which this one, {}, is: it is told that, and does nothing",
               claim->where, node_, where_);
    }
  }
}

}  // namespace bebr
