#include "server/metrics/engine_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

#include "index/base/logging.h"
#include "server/build_info.h"
#include "server/metrics/family_list.h"

namespace bebr {
namespace {

constexpr double kMicro = 1e-6;

void AddEngine(const EngineStats& stats, FamilyList& out) {
  out.Add("bebr_queries_total", static_cast<double>(stats.queries));
  out.Add("bebr_scans_total", static_cast<double>(stats.scans));
  out.Add("bebr_documents_scanned_total", static_cast<double>(stats.documents_scanned));
  out.Add("bebr_scanned_bytes_total", static_cast<double>(stats.bytes_scanned));
  out.Add("bebr_scan_seconds_total", static_cast<double>(stats.scan_us) * kMicro);
  out.Add("bebr_documents_upserted_total", static_cast<double>(stats.documents_upserted));
  out.Add("bebr_documents_deleted_total", static_cast<double>(stats.documents_deleted));
  out.Add("bebr_documents_reencoded_total", static_cast<double>(stats.documents_reencoded));
  out.Add("bebr_refused_queries_total", static_cast<double>(stats.refused_queries));
  out.Add("bebr_refused_upserts_total", static_cast<double>(stats.refused_upserts), {{"reason", "queue"}});
  out.Add("bebr_refused_upserts_total", static_cast<double>(stats.refused_memory), {{"reason", "memory"}});
  out.Add("bebr_refused_upserts_total", static_cast<double>(stats.refused_disk), {{"reason", "disk"}});
  out.Add("bebr_failed_commits_total", static_cast<double>(stats.failed_commits));
  out.Add("bebr_write_queue_seconds", stats.write_waits);
  out.Add("bebr_commit_seconds", stats.commits);
  out.Add("bebr_sync_seconds", stats.syncs);
  out.Add("bebr_ingest_stage_seconds_total", static_cast<double>(stats.encode_us) * kMicro, {{"stage", "encode"}});
  out.Add("bebr_ingest_stage_seconds_total", static_cast<double>(stats.commit_us) * kMicro, {{"stage", "commit"}});
  out.Add("bebr_ingest_stage_seconds_total", static_cast<double>(stats.apply_us) * kMicro, {{"stage", "apply"}});
  out.Add("bebr_recall_measurements_total", static_cast<double>(stats.recall_measured), {{"result", "ok"}});
  out.Add("bebr_recall_measurements_total", static_cast<double>(stats.recall_failed), {{"result", "failed"}});
  out.Add("bebr_scrubbed_bytes_total", static_cast<double>(stats.scrubbed_bytes));
  out.Add("bebr_scrub_mended_documents_total", static_cast<double>(stats.scrub_mended));
  out.Add("bebr_queued_queries", static_cast<double>(stats.queued_queries));
  out.Add("bebr_kept_views", static_cast<double>(stats.kept_views));
  out.Add("bebr_kept_views_bytes", static_cast<double>(stats.kept_view_bytes));
  out.Add("bebr_queued_upsert_bytes", static_cast<double>(stats.queued_upsert_bytes));
  out.Add("bebr_threads", static_cast<double>(stats.threads));
  out.Add("bebr_disk_free_bytes", static_cast<double>(stats.disk_free_bytes));
  out.Add("bebr_disk_size_bytes", static_cast<double>(stats.disk_total_bytes));
}

void AddStorage(const StorageStats& stats, FamilyList& out) {
  out.Add("bebr_storage_wal_bytes_total", static_cast<double>(stats.wal_bytes));
  out.Add("bebr_storage_wal_syncs_total", static_cast<double>(stats.wal_syncs));
  out.Add("bebr_storage_flushed_bytes_total", static_cast<double>(stats.flushed_bytes));
  out.Add("bebr_storage_compaction_bytes_total", static_cast<double>(stats.compaction_read_bytes),
          {{"direction", "read"}});
  out.Add("bebr_storage_compaction_bytes_total", static_cast<double>(stats.compaction_written_bytes),
          {{"direction", "written"}});
  out.Add("bebr_storage_stall_seconds_total", static_cast<double>(stats.stall_us) * kMicro);
  out.Add("bebr_storage_cache_requests_total", static_cast<double>(stats.cache_hits), {{"result", "hit"}});
  out.Add("bebr_storage_cache_requests_total", static_cast<double>(stats.cache_misses), {{"result", "miss"}});
  out.Add("bebr_storage_cache_bytes", static_cast<double>(stats.cache_bytes));
  out.Add("bebr_storage_write_buffer_bytes", static_cast<double>(stats.write_buffer_bytes));
  out.Add("bebr_storage_file_bytes", static_cast<double>(stats.file_bytes));
  out.Add("bebr_storage_pending_compaction_bytes", static_cast<double>(stats.pending_compaction_bytes));
}

// That finds 0.95 of what a search of all documents finds.
double ShareOfProbe(const RecallSample& recall) {
  const auto least = std::find_if(recall.probe.begin(), recall.probe.end(),
                                  [](const ProbePoint& point) { return point.recall >= 0.95f; });
  return least == recall.probe.end() ? 1.0 : double{least->share};
}

// Versions in use: what an upgrade waits for.
void AddVersions(const std::vector<CollectionInfo>& infos, FamilyList& out) {
  const auto add = [&](const char* name, const auto& value) {
    for (const CollectionInfo& info : infos) {
      for (const VersionInfo& version : info.versions) {
        if (version.state == VersionState::kRetired) continue;
        out.Add(name, value(version), {{"collection", info.name}, {"version", version.name}});
      }
    }
  };
  add("bebr_version_documents", [](const VersionInfo& v) { return static_cast<double>(v.documents); });
  add("bebr_version_embeddings", [](const VersionInfo& v) { return static_cast<double>(v.embeddings); });
  add("bebr_version_backfill_running",
      [](const VersionInfo& v) { return v.backfill.has_value() && v.backfill->running ? 1.0 : 0.0; });
  add("bebr_version_backfill_failed",
      [](const VersionInfo& v) { return v.backfill.has_value() && !v.backfill->error.empty() ? 1.0 : 0.0; });
  const auto add_measured = [&](const char* name, const auto& value) {
    for (const CollectionInfo& info : infos) {
      for (const VersionInfo& version : info.versions) {
        if (!version.recall.has_value()) continue;  // the monitor is off, or has not come to it
        out.Add(name, value(*version.recall), {{"collection", info.name}, {"version", version.name}});
      }
    }
  };
  add_measured("bebr_version_recall_ratio", [](const RecallSample& r) { return r.recall; });
  add_measured("bebr_version_score_error_p99", [](const RecallSample& r) { return r.score_error_p99; });
  add_measured("bebr_version_probe_share", ShareOfProbe);
}

// Collections whose binarizers the server makes.
void AddAuto(const std::vector<CollectionInfo>& infos, FamilyList& out) {
  const auto add = [&](const char* name, const auto& value) {
    for (const CollectionInfo& info : infos) {
      if (info.auto_info.has_value()) out.Add(name, value(*info.auto_info), {{"collection", info.name}});
    }
  };
  add("bebr_auto_fits_total", [](const AutoInfo& a) { return static_cast<double>(a.fits); });
  add("bebr_auto_promotions_total", [](const AutoInfo& a) { return static_cast<double>(a.promotions); });
  add("bebr_auto_recall_ratio", [](const AutoInfo& a) { return a.recall; });
  add("bebr_auto_recall_goal_ratio", [](const AutoInfo& a) { return a.recall_goal; });
  add("bebr_auto_fitted_documents", [](const AutoInfo& a) { return static_cast<double>(a.fitted_documents); });
  add("bebr_auto_failing", [](const AutoInfo& a) { return a.error.empty() ? 0.0 : 1.0; });
}

void AddSnapshots(Engine& engine, const std::vector<CollectionInfo>& infos, FamilyList& out) {
  const std::map<std::string, absl::Time> snapshots = engine.NewestSnapshots();
  for (const CollectionInfo& info : infos) {
    const auto newest = snapshots.find(info.name);
    if (newest == snapshots.end()) continue;
    out.Add("bebr_snapshot_newest_timestamp_seconds", absl::ToDoubleSeconds(newest->second - absl::UnixEpoch()),
            {{"collection", info.name}});
  }
}

void AddCollections(Engine& engine, FamilyList& out) {
  std::vector<CollectionInfo> infos;
  for (const std::string& name : engine.ListCollections()) {
    auto info = engine.GetCollection(name);
    if (info.ok()) infos.push_back(*std::move(info));  // else dropped meanwhile
  }
  constexpr double kServes = 0, kReadOnly = 1, kUnavailable = 2, kDamaged = 3;
  for (const auto& info : infos) {
    const double serves = info.damage.empty() ? kServes : kDamaged;
    out.Add("bebr_collection_state", info.problem.empty() ? serves : kReadOnly, {{"collection", info.name}});
  }
  for (const auto& unavailable : engine.UnavailableCollections())
    out.Add("bebr_collection_state", kUnavailable, {{"collection", unavailable.name}});
  for (const auto& info : infos) {
    out.Add("bebr_collection_documents", static_cast<double>(info.documents), {{"collection", info.name}});
  }
  for (const auto& info : infos) {
    out.Add("bebr_collection_deleted_rows", static_cast<double>(info.deleted_rows), {{"collection", info.name}});
  }
  for (const auto& info : infos) {
    const std::pair<const char*, uint64_t> parts[] = {{"codes", info.memory.codes},
                                                      {"ids", info.memory.ids},
                                                      {"attributes", info.memory.attributes},
                                                      {"models", info.memory.models}};
    for (const auto& [part, bytes] : parts) {
      out.Add("bebr_collection_memory_bytes", static_cast<double>(bytes), {{"collection", info.name}, {"part", part}});
    }
  }
  for (const auto& info : infos) {
    const auto formula = engine.EstimateMemory(info.name, info.documents, /*id_bytes=*/0);
    if (!formula.ok()) continue;
    out.Add("bebr_collection_memory_formula_bytes", static_cast<double>(formula->total), {{"collection", info.name}});
  }
  for (const auto& info : infos) {
    out.Add("bebr_collection_disk_bytes", static_cast<double>(info.disk_bytes), {{"collection", info.name}});
  }
  AddSnapshots(engine, infos, out);
  AddVersions(infos, out);
  AddAuto(infos, out);
}

// Start of this process: ticks after the machine's start, in field 22 of /proc/self/stat.
double StartSeconds() {
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  text.erase(0, text.rfind(')') + 1);  // the second field is a name, which may hold spaces
  std::istringstream fields(text);
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  double ticks = 0, machine_start = 0;
  fields >> ticks;
  std::ifstream stat("/proc/stat");
  for (std::string word; stat >> word;) {
    if (word == "btime") stat >> machine_start;
  }
  return machine_start + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

void AddProcess(FamilyList& out) {
  static const double start_seconds = StartSeconds();
  uint64_t total_pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> total_pages >> resident_pages;
  out.Add("process_resident_memory_bytes",
          static_cast<double>(resident_pages) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * kMicro;
  };
  out.Add("process_cpu_seconds_total", seconds(usage.ru_utime) + seconds(usage.ru_stime));
  std::error_code error;
  double files = 0;
  for (auto entry = std::filesystem::directory_iterator("/proc/self/fd", error); !error && entry != end(entry);
       entry.increment(error)) {
    ++files;
  }
  out.Add("process_open_fds", files);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  out.Add("process_max_fds", static_cast<double>(limit.rlim_cur));
  out.Add("process_start_time_seconds", start_seconds);
}

}  // namespace

std::vector<prometheus::MetricFamily> ReadMetrics(Engine* engine) {
  FamilyList out;
  std::string simd = "none";
  if (engine != nullptr) {
    const EngineStats stats = engine->Stats();
    simd = stats.simd;
    AddEngine(stats, out);
    AddStorage(stats.storage, out);
    AddCollections(*engine, out);
  }
  out.Add("bebr_log_dropped_total", static_cast<double>(DroppedLogLines()));
  out.Add("bebr_build_info", 1, {{"version", kBuildVersion}, {"simd", simd}});
  AddProcess(out);
  return out.Take();
}

}  // namespace bebr
