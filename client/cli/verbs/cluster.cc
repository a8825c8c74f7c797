#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string collection;
};

std::string Slots(uint32_t first, uint32_t last) { return absl::StrCat(first, "-", last); }

const char* Name(v1::ReplicaState state) {
  switch (state) {
    case v1::REPLICA_STATE_SERVING:
      return "serving";
    case v1::REPLICA_STATE_STALLED:
      return "stalled";
    case v1::REPLICA_STATE_QUARANTINED:
      return "quarantined";
    case v1::REPLICA_STATE_MISSING:
      return "missing";
    default:
      return "unknown";
  }
}

// "0.1 s" at least: below that a replica only has not looked yet.
std::string Lag(const v1::ClusterReplica& replica) {
  if (replica.lag_positions() == 0) return "0";
  return absl::StrFormat("%s, %.1f s", WithCommas(replica.lag_positions()), replica.lag_seconds());
}

void Print(const v1::GetClusterResponse& cluster) {
  std::printf("%-10s %-16s %-24s %-12s %14s  %s\n", "slots", "node", "address", "state", "position", "lag");
  for (const v1::ClusterShare& share : cluster.shares()) {
    for (const v1::ClusterReplica& replica : share.replicas()) {
      const bool follows = cluster.has_log() && replica.state() != v1::REPLICA_STATE_MISSING;
      std::printf("%-10s %-16s %-24s %-12s %14s  %s\n", Slots(share.first_slot(), share.last_slot()).c_str(),
                  replica.node().c_str(), replica.address().c_str(), Name(replica.state()),
                  follows ? WithCommas(replica.applied()).c_str() : "-", follows ? Lag(replica).c_str() : "-");
      if (!replica.problem().empty()) std::printf("%10s %s\n", "", replica.problem().c_str());
    }
  }
  if (!cluster.has_log()) return;
  const v1::ClusterLog& log = cluster.log();
  std::printf("log: ends at position %s, trimmed up to %s, about %s rows, %s\n", WithCommas(log.head()).c_str(),
              WithCommas(log.trimmed()).c_str(), WithCommas(log.rows()).c_str(), HumanBytes(log.bytes()).c_str());
  if (!log.problem().empty()) std::printf("%10s it does not answer: %s\n", "", log.problem().c_str());
}

// The nodes by what they hold: "a, b: 4ab9... of 7 documents".
std::string Told(const v1::ShareComparison& comparison) {
  std::map<std::string, std::vector<std::string>> by_digest;
  for (const v1::ReplicaDigest& replica : comparison.replicas()) {
    by_digest[replica.error().empty() ? replica.digest() : absl::StrCat("not compared: ", replica.error())].push_back(
        replica.node());
  }
  std::vector<std::string> lines;
  for (const auto& [digest, nodes] : by_digest) lines.push_back(absl::StrCat(absl::StrJoin(nodes, ", "), ": ", digest));
  return absl::StrJoin(lines, "; ");
}

std::string Subject(const v1::ShareComparison& comparison) {
  return absl::StrCat("\"", comparison.collection(), "\", slots ",
                      Slots(comparison.first_slot(), comparison.last_slot()));
}

absl::Status Different(const v1::ShareComparison& comparison) {
  return absl::DataLossError(absl::StrFormat("replicas differ, at position %d of the log: %s: %s",
                                             comparison.position(), Subject(comparison), Told(comparison)));
}

// What is wrong, the worst first: what will not pass by itself before what may.
absl::Status Judge(const v1::GetClusterResponse& cluster) {
  if (!cluster.differences().empty()) return Different(cluster.differences(0));
  std::vector<std::string> lost, absent;
  for (const v1::ClusterShare& share : cluster.shares()) {
    for (const v1::ClusterReplica& replica : share.replicas()) {
      if (replica.state() == v1::REPLICA_STATE_SERVING) continue;
      auto& nodes = replica.state() == v1::REPLICA_STATE_QUARANTINED ? lost : absent;
      nodes.push_back(absl::StrCat(replica.node(), " (", Name(replica.state()), ")"));
    }
  }
  if (!lost.empty()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "nodes must be filled anew: %s; the runbook is in deploy/CLUSTER.md", absl::StrJoin(lost, ", ")));
  }
  if (!absent.empty()) return absl::UnavailableError(absl::StrCat("not serving: ", absl::StrJoin(absent, ", ")));
  if (!cluster.log().problem().empty())
    return absl::UnavailableError(absl::StrCat("the log does not answer: ", cluster.log().problem()));
  return absl::OkStatus();
}

absl::Status Status(const Command& command, const Options&) {
  BEBR_ASSIGN_OR_RETURN(const auto cluster, command.Connect().GetCluster());
  if (command.json) {
    PrintJson(ToJson(cluster));
  } else {
    Print(cluster);
  }
  return Judge(cluster);
}

absl::Status Verify(const Command& command, const Options& options) {
  v1::VerifyClusterRequest request;
  request.set_collection(options.collection);
  BEBR_ASSIGN_OR_RETURN(const auto response, command.Connect().VerifyCluster(request));
  absl::Status different, failed;
  for (const v1::ShareComparison& comparison : response.comparisons()) {
    const auto& replicas = comparison.replicas();
    const bool whole = std::all_of(replicas.begin(), replicas.end(),
                                   [](const v1::ReplicaDigest& replica) { return replica.error().empty(); });
    if (comparison.differs()) different.Update(Different(comparison));
    if (!whole) {
      failed.Update(absl::UnavailableError(
          absl::StrFormat("not all could be compared: %s: %s", Subject(comparison), Told(comparison))));
    }
    if (command.json) continue;
    std::printf("%-11s %s, position %s: %s\n",
                comparison.differs() ? "DIFFERENT"
                : whole              ? "equal"
                                     : "incomplete",
                Subject(comparison).c_str(), WithCommas(comparison.position()).c_str(), Told(comparison).c_str());
  }
  if (command.json) PrintJson(ToJson(response)["comparisons"]);
  return different.ok() ? failed : different;
}

}  // namespace

void AddCluster(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* group = AddGroup(app, command, "cluster", "how the nodes of a cluster are; of a gateway");
  const auto add = [&](const char* name, const char* description, const char* example,
                       absl::Status (*run)(const Command&, const Options&)) {
    return AddVerb(*group, command, name, description, example,
                   [&command, options, run] { return run(command, *options); });
  };
  add("status", "shares, their replicas, and how far these have followed the log; exit code 1 or 3 if not all serve",
      "bebr cluster status", Status);
  add("verify", "compare what replicas hold, at one position of the log, while they serve; exit code 1 if they differ",
      "bebr cluster verify papers", Verify)
      ->add_option("name", options->collection, "name of a collection; all without it");
}

}  // namespace bebr
