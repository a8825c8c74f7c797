#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  std::string collection;
  std::string node, address, slots, from;
  double timeout_s = 0;
};

constexpr absl::Duration kLookInterval = absl::Seconds(1);

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

// As it is read from; of one that is not, what it is instead.
const char* StateOf(const v1::ClusterReplica& replica) {
  if (replica.member() == v1::MEMBER_STATE_JOINING) return "joining";
  if (replica.member() == v1::MEMBER_STATE_DRAINING) return "draining";
  return Name(replica.state());
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
                  replica.node().c_str(), replica.address().c_str(), StateOf(replica),
                  follows ? WithCommas(replica.applied()).c_str() : "-", follows ? Lag(replica).c_str() : "-");
      for (const std::string& text : {replica.problem(), replica.warning()})
        if (!text.empty()) std::printf("%10s %s\n", "", text.c_str());
    }
  }
  if (!cluster.has_log()) return;
  const v1::ClusterLog& log = cluster.log();
  std::printf("log: ends at position %s, trimmed up to %s, about %s rows, %s\n", WithCommas(log.head()).c_str(),
              WithCommas(log.trimmed()).c_str(), WithCommas(log.rows()).c_str(), HumanBytes(log.bytes()).c_str());
  if (!log.problem().empty()) std::printf("%10s it cannot be asked: %s\n", "", log.problem().c_str());
  if (!log.held().empty()) std::printf("%10s it is kept: %s\n", "", log.held().c_str());
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
      // Of those that join or are drained nothing is asked yet, or any more.
      const bool counts = replica.member() == v1::MEMBER_STATE_SERVING;
      if (!counts || replica.state() == v1::REPLICA_STATE_SERVING) continue;
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
    return absl::UnavailableError(absl::StrCat("the log cannot be asked: ", cluster.log().problem()));
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

// A member, and the slots of its share.
struct Found {
  v1::ClusterReplica replica;
  uint32_t first_slot = 0, last_slot = 0;
};

absl::StatusOr<Found> FindMember(Client& client, const std::string& name) {
  BEBR_ASSIGN_OR_RETURN(const auto cluster, client.GetCluster());
  for (const v1::ClusterShare& share : cluster.shares()) {
    for (const v1::ClusterReplica& replica : share.replicas()) {
      if (replica.node() == name) return Found{replica, share.first_slot(), share.last_slot()};
    }
  }
  return absl::NotFoundError(absl::StrFormat("no member is called \"%s\"; `bebr cluster status` names them", name));
}

absl::Status AskToJoin(Client& client, const Options& options, uint32_t first_slot, uint32_t last_slot) {
  v1::JoinNodeRequest request;
  request.set_name(options.node);
  request.set_address(options.address);
  request.set_first_slot(first_slot);
  request.set_last_slot(last_slot);
  return client.JoinNode(request).status();
}

absl::Status AskToDrain(Client& client, const std::string& name) {
  v1::DrainNodeRequest request;
  request.set_name(name);
  return client.DrainNode(request).status();
}

// Whether it is read from, where it was said to be: one that has been a member before may not be there.
bool Serves(const v1::ClusterReplica& replica, const std::string& address) {
  return replica.member() == v1::MEMBER_STATE_SERVING && replica.state() == v1::REPLICA_STATE_SERVING &&
         (address.empty() || replica.address() == address);
}

// Waits until the member serves, and says how far it is meanwhile.
absl::Status AwaitServing(Client& client, const Options& options) {
  const absl::Time end =
      options.timeout_s > 0 ? absl::Now() + absl::Seconds(options.timeout_s) : absl::InfiniteFuture();
  std::string told;
  for (;;) {
    const auto member = FindMember(client, options.node);
    if (!member.ok() && !absl::IsUnavailable(member.status())) return member.status();
    if (member.ok() && Serves(member->replica, options.address)) return absl::OkStatus();
    const std::string now = std::string(member.ok() ? member->replica.problem() : member.status().message());
    if (now != told) std::fprintf(stderr, "%s: %s\n", options.node.c_str(), now.empty() ? "joining" : now.c_str());
    told = now;
    if (absl::Now() > end) {
      return absl::UnavailableError(
          absl::StrFormat("%s does not serve yet, and goes on joining: %s", options.node, now));
    }
    absl::SleepFor(kLookInterval);
  }
}

absl::Status Join(const Command& command, const Options& options) {
  uint32_t first = 0, last = 0;
  const std::vector<std::string> ends = absl::StrSplit(options.slots, '-');
  if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &first) || !absl::SimpleAtoi(ends[1], &last))
    return UsageError(absl::StrFormat("--slots is \"%s\"; slots are FIRST-LAST, as 0-1023", options.slots));
  Client client = command.Connect();
  BEBR_RETURN_IF_ERROR(AskToJoin(client, options, first, last));
  BEBR_RETURN_IF_ERROR(AwaitServing(client, options));
  if (!command.json) std::printf("node %s serves slots %s\n", options.node.c_str(), options.slots.c_str());
  return absl::OkStatus();
}

absl::Status Drain(const Command& command, const Options& options) {
  Client client = command.Connect();
  BEBR_RETURN_IF_ERROR(AskToDrain(client, options.node));
  if (!command.json)
    std::printf("gateways read from node %s no more; some seconds later it is no member\n", options.node.c_str());
  return absl::OkStatus();
}

// The new one takes over what the old one holds.
absl::Status Move(const Command& command, const Options& options) {
  if (options.from == options.node)
    return UsageError(absl::StrFormat("node \"%s\" cannot take its own place: name another one", options.node));
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const Found old, FindMember(client, options.from));
  BEBR_RETURN_IF_ERROR(AskToJoin(client, options, old.first_slot, old.last_slot));
  BEBR_RETURN_IF_ERROR(AwaitServing(client, options));
  BEBR_RETURN_IF_ERROR(AskToDrain(client, options.from));
  if (!command.json) {
    std::printf("node %s serves slots %s in place of node %s\n", options.node.c_str(),
                Slots(old.first_slot, old.last_slot).c_str(), options.from.c_str());
  }
  return absl::OkStatus();
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
  CLI::App* join = add("join", "make a node a replica of a share, and wait until it serves",
                       "bebr cluster join d --address 10.0.0.4:7700 --slots 0-1023", Join);
  CLI::App* drain =
      add("drain", "take a replica out of its share, so that its server can be stopped", "bebr cluster drain a", Drain);
  CLI::App* move = add("move", "let a node take over the slots of another, alive or not",
                       "bebr cluster move a d --address 10.0.0.4:7700", Move);
  move->add_option("from", options->from, "name of the node that is to go")->required();
  for (CLI::App* verb : {join, drain, move}) verb->add_option("node", options->node, "name of the node")->required();
  join->add_option("--slots", options->slots, "FIRST-LAST, those of a share that there is")->required();
  for (CLI::App* verb : {join, move}) {
    verb->add_option("--address", options->address, "HOST:PORT of the node; without it as cluster_nodes has it");
    verb->add_option("--timeout", options->timeout_s,
                     "wait so many seconds at most until it serves; 0: as long as it takes")
        ->check(Seconds());
  }
}

}  // namespace bebr
