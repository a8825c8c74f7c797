#include <memory>

#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/machine_checks.h"
#include "index/base/status_macros.h"
#include "index/simd/kernels.h"

namespace bebr {
namespace {

struct Options {
  std::string data_dir;
  bool no_server = false;
};

using Level = Finding::Level;

const char* Name(Level level) {
  return level == Level::kGood ? "good" : level == Level::kWarning ? "warning" : "fault";
}

// A server runs slower than it could where it was told to, or is the build of another machine.
Finding CheckKernels(const v1::GetStatsResponse& stats) {
  const simd::KernelTable* used = simd::FindKernels(stats.simd());
  for (const simd::KernelTable* table : simd::AllKernels()) {
    if (table == used) break;
    if (!table->supported()) continue;
    return {Level::kWarning, "kernels",
            absl::StrFormat("it uses %s; this processor also has %s", stats.simd(), table->name),
            "if both run on this machine: BEBR_SIMD is set for the server; unset it"};
  }
  return {Level::kGood, "kernels", stats.simd(), ""};
}

Finding CheckRefusals(const v1::GetStatsResponse& stats) {
  const std::string found = absl::StrFormat("%s queries and %s writes refused since the start",
                                            WithCommas(stats.refused_queries()), WithCommas(stats.refused_upserts()));
  if (stats.refused_queries() + stats.refused_upserts() == 0) return {Level::kGood, "load", found, ""};
  return {Level::kWarning, "load", found, "it was full at times: fewer clients at once, or a larger machine"};
}

// What of a collection does not serve.
void CheckFaults(const v1::ListCollectionsResponse& collections, std::vector<Finding>& findings) {
  for (const v1::UnavailableCollection& collection : collections.unavailable()) {
    findings.push_back({Level::kFault, "collection",
                        absl::StrFormat("%s is unavailable: %s", collection.name(), collection.reason()),
                        absl::StrFormat("put back the file that is named, or restore a snapshot (bebr drop %s, bebr "
                                        "snapshot restore); the others are served",
                                        collection.name())});
  }
  for (const v1::Collection& collection : collections.collections()) {
    if (collection.problem().empty()) continue;
    findings.push_back({Level::kFault, "collection",
                        absl::StrFormat("%s takes no writes: %s", collection.name(), collection.problem()),
                        "look at the disk (df, dmesg); writes are taken again by themselves once it does"});
  }
}

void CheckVersions(const v1::Collection& collection, std::vector<Finding>& findings) {
  for (const v1::Version& version : collection.versions()) {
    if (version.backfill().error().empty()) continue;
    findings.push_back(
        {Level::kFault, "backfill",
         absl::StrFormat("version %s of %s: %s", version.name(), collection.name(), version.backfill().error()),
         absl::StrFormat("mend that, then: bebr version backfill %s %s", collection.name(), version.name())});
  }
}

std::vector<Finding> CheckServer(const Command& command) {
  Client client = command.Connect();
  const auto stats = client.GetStats();
  if (!stats.ok()) {
    return {{Level::kFault, "server", absl::StrFormat("%s: %s", command.server, stats.status().message()),
             "start it, name another with --server, or leave it out with --no-server"}};
  }
  std::vector<Finding> findings = {
      {Level::kGood, "server", absl::StrFormat("%s, version %s", command.server, stats->build_version()), ""},
      CheckKernels(*stats),
      CheckRefusals(*stats)};
  const auto collections = client.ListCollections();
  if (!collections.ok()) {
    findings.push_back({Level::kFault, "collections", std::string(collections.status().message()), "read its log"});
    return findings;
  }
  CheckFaults(*collections, findings);
  uint64_t memory = 0;
  for (const v1::Collection& collection : collections->collections()) {
    memory += collection.memory().total();
    CheckVersions(collection, findings);
  }
  findings.push_back({Level::kGood, "collections",
                      absl::StrFormat("%d, in %s of memory", collections->collections_size(), HumanBytes(memory)), ""});
  return findings;
}

absl::Status Run(const Command& command, const Options& options) {
  std::vector<Finding> findings = CheckMachine();
  const auto add = [&](const std::vector<Finding>& more) { findings.insert(findings.end(), more.begin(), more.end()); };
  if (!options.data_dir.empty()) add(CheckDataDirectory(options.data_dir));
  if (!options.no_server) add(CheckServer(command));
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  size_t faults = 0;
  for (const Finding& finding : findings) {
    faults += finding.level == Level::kFault ? 1 : 0;
    list.push_back({{"level", Name(finding.level)},
                    {"about", finding.about},
                    {"found", finding.found},
                    {"advice", finding.advice}});
    if (command.json) continue;
    std::printf("%-8s %-14s %s\n", Name(finding.level), finding.about.c_str(), finding.found.c_str());
    if (!finding.advice.empty()) std::printf("%23s -> %s\n", "", finding.advice.c_str());
  }
  if (command.json) PrintJson(list);
  if (faults == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat("%d faults would keep a server here from serving well", faults));
}

}  // namespace

void AddDoctor(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      AddVerb(app, command, "doctor", "what of this machine and its server would keep it from serving well",
              "bebr doctor --data-dir /var/lib/bebr", [&command, options] { return Run(command, *options); });
  verb->add_option("--data-dir", options->data_dir, "also look at this data directory; as the server's user");
  verb->add_flag("--no-server", options->no_server, "look at the machine only");
}

}  // namespace bebr
