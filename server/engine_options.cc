#include "server/engine_options.h"

namespace bebr {

EngineOptions EngineOptionsOf(const ServerConfig& config) {
  return {.data_dir = config.data_dir,
          .snapshot_dir = config.snapshot_dir,
          .threads = config.threads,
          .max_queued_queries = config.max_queued_queries,
          .max_kept_views = config.max_kept_views,
          .max_queued_upsert_bytes = config.max_queued_upsert_bytes,
          .memory_limit_bytes = config.memory_limit_bytes,
          .min_free_disk_bytes = config.min_free_disk_bytes,
          .write_buffer_bytes = config.write_buffer_bytes,
          .block_cache_bytes = config.block_cache_bytes,
          .recall_monitor_interval = absl::Seconds(config.recall_monitor_interval_s),
          .recall_monitor_queries = config.recall_monitor_queries,
          .recall_monitor_documents_per_s = config.recall_monitor_documents_per_s,
          .scrub_interval = absl::Seconds(config.scrub_interval_s),
          .scrub_bytes_per_s = config.scrub_bytes_per_s};
}

}  // namespace bebr
