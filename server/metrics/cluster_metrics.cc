#include "server/metrics/cluster_metrics.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/metrics/family_list.h"

namespace bebr {
namespace {

std::string Slots(const ShareReport& share) { return absl::StrCat(share.first_slot, "-", share.last_slot); }

// Without those that join or are drained, which no alert is about.
std::vector<ShareReport> SharesOf(const ClusterReport& report) {
  std::vector<ShareReport> shares = report.shares;
  for (ShareReport& share : shares)
    std::erase_if(share.replicas, [](const ReplicaReport& r) { return r.member != MemberState::kServing; });
  return shares;
}

std::vector<ReplicaReport> ReplicasOf(const std::vector<ShareReport>& shares) {
  std::vector<ReplicaReport> all;
  for (const ShareReport& share : shares) all.insert(all.end(), share.replicas.begin(), share.replicas.end());
  return all;
}

void AddReplicas(const std::vector<ReplicaReport>& replicas, bool follow, FamilyList& out) {
  const auto add = [&](const char* name, const auto& value) {
    for (const ReplicaReport& replica : replicas) out.Add(name, value(replica), {{"node", replica.place.name}});
  };
  add("bebr_replica_state", [](const ReplicaReport& r) { return static_cast<double>(r.health); });
  if (!follow) return;
  add("bebr_replica_position", [](const ReplicaReport& r) { return static_cast<double>(r.applied); });
  add("bebr_replica_lag_positions", [](const ReplicaReport& r) { return static_cast<double>(r.lag_positions); });
  add("bebr_replica_lag_seconds", [](const ReplicaReport& r) { return absl::ToDoubleSeconds(r.lag); });
}

void AddShares(const ClusterReport& report, const std::vector<ShareReport>& shares, FamilyList& out) {
  const auto add = [&](const char* name, const auto& value) {
    for (const ShareReport& share : shares) out.Add(name, static_cast<double>(value(share)), {{"slots", Slots(share)}});
  };
  add("bebr_share_replicas", [](const ShareReport& share) { return share.replicas.size(); });
  add("bebr_share_replicas_serving", [](const ShareReport& share) {
    return std::count_if(share.replicas.begin(), share.replicas.end(),
                         [](const ReplicaReport& r) { return r.health == ReplicaHealth::kServing; });
  });
  if (report.log.has_value())
    add("bebr_stale_answers_total", [](const ShareReport& share) { return share.stale_answers; });
  out.Add("bebr_cluster_coverage_ratio", static_cast<double>(report.covered_slots()) / kClusterSlots);
}

void AddLog(const LogReport& log, FamilyList& out) {
  uint64_t appends = 0;
  for (const uint64_t count : log.appends.counts) appends += count;
  out.Add("bebr_log_answers", log.problem.empty() ? 1 : 0);
  out.Add("bebr_log_refused", log.refused ? 1 : 0);
  out.Add("bebr_log_position", static_cast<double>(log.head));
  out.Add("bebr_log_trimmed_position", static_cast<double>(log.trimmed));
  out.Add("bebr_log_rows", static_cast<double>(log.rows));
  out.Add("bebr_log_bytes", static_cast<double>(log.bytes));
  out.Add("bebr_log_held", log.held.empty() ? 0 : 1);
  out.Add("bebr_log_appends_total", static_cast<double>(appends - log.failed_appends), {{"result", "ok"}});
  out.Add("bebr_log_appends_total", static_cast<double>(log.failed_appends), {{"result", "failed"}});
  out.Add("bebr_log_append_seconds", log.appends);
}

}  // namespace

std::vector<prometheus::MetricFamily> ReadCluster(const ClusterReport& report) {
  FamilyList out;
  const std::vector<ShareReport> shares = SharesOf(report);
  AddReplicas(ReplicasOf(shares), report.log.has_value(), out);
  AddShares(report, shares, out);
  if (!report.log.has_value()) return out.Take();
  AddLog(*report.log, out);
  out.Add("bebr_cluster_replaced_members_total", static_cast<double>(report.members_replaced));
  const ComparisonCounts& counts = report.comparisons;
  out.Add("bebr_replica_comparisons_total", static_cast<double>(counts.equal), {{"result", "equal"}});
  out.Add("bebr_replica_comparisons_total", static_cast<double>(counts.different), {{"result", "different"}});
  out.Add("bebr_replica_comparisons_total", static_cast<double>(counts.failed), {{"result", "failed"}});
  out.Add("bebr_replica_differences", static_cast<double>(report.differences.size()));
  return out.Take();
}

std::vector<prometheus::MetricFamily> ReadReplica(const std::string& node, const ReplicaState& state) {
  FamilyList out;
  ReplicaReport replica{.place = {.name = node, .address = ""},
                        .health = state.quarantined       ? ReplicaHealth::kQuarantined
                                  : state.problem.empty() ? ReplicaHealth::kServing
                                                          : ReplicaHealth::kStalled,
                        .applied = state.applied,
                        .lag_positions = state.head > state.applied ? state.head - state.applied : 0,
                        .lag = state.lag};
  AddReplicas({std::move(replica)}, /*follow=*/true, out);
  return out.Take();
}

}  // namespace bebr
