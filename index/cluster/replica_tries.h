// What the ways of a call from replica to replica have in common.
#ifndef BEBR_INDEX_CLUSTER_REPLICA_TRIES_H_
#define BEBR_INDEX_CLUSTER_REPLICA_TRIES_H_

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "index/types/cluster.h"

namespace bebr {

// A replica that has not answered within this is left for another, until none is left: then all have the time there is.
inline constexpr absl::Duration kFirstTry = absl::Seconds(2);
// Of little time the first has half.
inline absl::Duration FirstTry(absl::Duration left) { return std::min(kFirstTry, left / 2); }
// Where all have failed they are tried again, for so long: one may be about to start, or not be connected again yet.
inline constexpr absl::Duration kPatience = absl::Seconds(5);
inline constexpr absl::Duration kBetweenPasses = absl::Milliseconds(50);
// The last share of the time, for a stale answer where a fresh one was not to be had.
inline constexpr double kShareOfFresh = 0.8;
inline constexpr const char* kStale = "may_be_stale: ";

inline std::string StaleWarning(const NodePlace& place) {
  return absl::StrFormat(
      "%san answer with all that is written was not to be had in time; this one lacks the newest writes to slots "
      "%d-%d, "
      "or some of them",
      kStale, place.first_slot, place.last_slot);
}

// A view's token, with the node that has it in front: "NODE/TOKEN". Dots are between the tokens of shares.
inline std::string NameInView(const std::string& node) { return absl::StrReplaceAll(node, {{".", ":"}}); }
inline std::string JoinView(const std::string& node, const std::string& token) {
  return token.empty() ? "" : absl::StrCat(NameInView(node), "/", token);
}

// What replicas failed with last.
class Errors {
 public:
  void Add(const std::string& replica, absl::Status error) { by_replica_[replica] = std::move(error); }
  // One of them, which tells of all.
  absl::Status All() const {
    if (by_replica_.empty()) return absl::UnavailableError("no replica was asked in time");
    absl::Status all = by_replica_.begin()->second;
    std::vector<std::string> texts;
    for (const auto& [replica, error] : by_replica_) texts.emplace_back(error.message());
    absl::Status told(all.code(), absl::StrJoin(texts, "; "));
    all.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) { told.SetPayload(type, payload); });
    return told;
  }

 private:
  std::map<std::string, absl::Status> by_replica_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_REPLICA_TRIES_H_
