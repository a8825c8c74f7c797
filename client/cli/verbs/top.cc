#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

struct Options {
  double interval_s = 2;
  uint64_t frames = 0;
};

// The counters at one moment.
struct Sample {
  v1::GetStatsResponse stats;
  std::chrono::steady_clock::time_point at;
  double answer_ms = 0;  // how long the server took to say so
};

absl::StatusOr<Sample> Take(Client& client) {
  Sample sample;
  const auto start = std::chrono::steady_clock::now();
  BEBR_ASSIGN_OR_RETURN(sample.stats, client.GetStats());
  sample.at = std::chrono::steady_clock::now();
  sample.answer_ms = std::chrono::duration<double, std::milli>(sample.at - start).count();
  return sample;
}

// What happened between two samples, a second or a scan. A restarted server counts from 0 again: nothing is shown then.
nlohmann::ordered_json Rates(const Sample& before, const Sample& now) {
  const double seconds = std::max(std::chrono::duration<double>(now.at - before.at).count(), 1e-9);
  const auto since = [&](uint64_t (v1::GetStatsResponse::*field)() const) {
    const uint64_t a = (before.stats.*field)(), b = (now.stats.*field)();
    return b >= a ? static_cast<double>(b - a) : 0.0;
  };
  using Stats = v1::GetStatsResponse;
  const double queries = since(&Stats::queries), scans = since(&Stats::scans);
  return {{"queries_per_s", queries / seconds},
          {"queries_per_scan", scans > 0 ? queries / scans : 0},
          {"scan_ms", scans > 0 ? since(&Stats::scan_us) / scans / 1000 : 0},
          {"scanned_bytes_per_s", since(&Stats::bytes_scanned) / seconds},
          {"queued_queries", now.stats.queued_queries()},
          {"refused_queries_per_s", since(&Stats::refused_queries) / seconds},
          {"documents_written_per_s", since(&Stats::documents_upserted) / seconds},
          {"documents_deleted_per_s", since(&Stats::documents_deleted) / seconds},
          {"documents_reencoded_per_s", since(&Stats::documents_reencoded) / seconds},
          {"refused_writes_per_s", since(&Stats::refused_upserts) / seconds},
          {"answer_ms", now.answer_ms}};
}

std::string Uptime(uint64_t seconds) {
  if (seconds < 3600) return absl::StrFormat("%d min %02d s", seconds / 60, seconds % 60);
  return absl::StrFormat("%d h %02d min", seconds / 3600, seconds / 60 % 60);
}

void ShowCollection(const v1::Collection& collection) {
  std::printf("%-24s %14s  %9s  %9s", collection.name().c_str(), WithCommas(collection.documents()).c_str(),
              HumanBytes(collection.memory().total()).c_str(), HumanBytes(collection.disk_bytes()).c_str());
  for (const v1::Version& version : collection.versions()) {
    if (version.state() == v1::VERSION_STATE_RETIRED) continue;
    std::printf("  %s%s", version.name().c_str(), version.state() == v1::VERSION_STATE_DEFAULT ? "*" : "");
    if (version.has_recall()) std::printf(" recall@%u %.3f", version.recall().k(), version.recall().recall());
    if (version.backfill().running()) std::printf(" backfill %.0f/s", version.backfill().documents_per_s());
  }
  std::printf("\n");
}

void Show(const Command& command, const v1::GetStatsResponse& stats, const nlohmann::ordered_json& rates,
          const v1::ListCollectionsResponse& collections) {
  const auto rate = [&](const char* name) {
    return WithCommas(static_cast<uint64_t>(std::llround(rates[name].get<double>())));
  };
  if (isatty(STDOUT_FILENO) == 1) std::printf("\033[H\033[J");
  std::printf("bebr-server %s at %s   %s, %u threads, up %s; it answers in %.1f ms\n\n", stats.build_version().c_str(),
              command.server.c_str(), stats.simd().c_str(), stats.threads(), Uptime(stats.uptime_seconds()).c_str(),
              rates["answer_ms"].get<double>());
  std::printf("queries    %10s/s   %.1f a scan, %.2f ms of processor a scan, %s/s read; %s wait; %s/s refused\n",
              rate("queries_per_s").c_str(), rates["queries_per_scan"].get<double>(), rates["scan_ms"].get<double>(),
              HumanBytes(rates["scanned_bytes_per_s"].get<uint64_t>()).c_str(),
              WithCommas(stats.queued_queries()).c_str(), rate("refused_queries_per_s").c_str());
  std::printf("documents  %10s/s   written; %s/s deleted, %s/s re-encoded; %s/s refused\n\n",
              rate("documents_written_per_s").c_str(), rate("documents_deleted_per_s").c_str(),
              rate("documents_reencoded_per_s").c_str(), rate("refused_writes_per_s").c_str());
  std::printf("%-24s %14s  %9s  %9s  %s\n", "collection", "documents", "memory", "disk", "versions (* default)");
  for (const v1::Collection& collection : collections.collections()) ShowCollection(collection);
  std::fflush(stdout);
}

absl::Status Run(const Command& command, const Options& options) {
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(Sample before, Take(client));
  for (uint64_t frame = 0; options.frames == 0 || frame < options.frames; ++frame) {
    absl::SleepFor(absl::Seconds(options.interval_s));
    BEBR_ASSIGN_OR_RETURN(Sample now, Take(client));
    BEBR_ASSIGN_OR_RETURN(const auto collections, client.ListCollections());
    nlohmann::ordered_json rates = Rates(before, now);
    if (command.json) {
      rates["collections"] = ToJson(collections)["collections"];
      std::printf("%s\n", rates.dump().c_str());
      std::fflush(stdout);
    } else {
      Show(command, now.stats, rates, collections);
    }
    if (std::ferror(stdout) != 0) return absl::OkStatus();  // nobody reads on; the end of the program says so
    before = std::move(now);
  }
  return absl::OkStatus();
}

}  // namespace

void AddTop(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, command, "top", "what the server does now, again and again; Ctrl-C ends it",
                           "bebr top --interval 1", [&command, options] { return Run(command, *options); });
  verb->add_option("--interval", options->interval_s, "seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  verb->add_option("--frames", options->frames, "end after so many; 0: never; with --json one line each")
      ->check(WholeNumber());
}

}  // namespace bebr
