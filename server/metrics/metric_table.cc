#include "server/metrics/metric_table.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace bebr {
namespace {

constexpr auto kCounter = prometheus::MetricType::Counter;
constexpr auto kGauge = prometheus::MetricType::Gauge;
constexpr auto kHistogram = prometheus::MetricType::Histogram;

constexpr MetricInfo kMetrics[] = {
    {"grpc_server_started_total", kCounter, "grpc_type,grpc_service,grpc_method", "RPCs started on the server."},
    {"grpc_server_handled_total", kCounter, "grpc_type,grpc_service,grpc_method,grpc_code",
     "RPCs completed on the server, whatever the outcome."},
    {"grpc_server_handling_seconds", kHistogram, "grpc_type,grpc_service,grpc_method",
     "Time from the start of an RPC on the server to its status."},
    {"grpc_server_msg_received_total", kCounter, "grpc_type,grpc_service,grpc_method",
     "Messages received from clients."},
    {"grpc_server_msg_sent_total", kCounter, "grpc_type,grpc_service,grpc_method", "Messages sent to clients."},
    {"bebr_search_stage_seconds", kHistogram, "stage", "Time a search spent in a stage: queue, encode, scan, rerank."},
    {"bebr_search_queries_per_scan", kHistogram, "", "Queries that shared the scan of a search."},
    {"bebr_queries_total", kCounter, "", "Queries answered."},
    {"bebr_scans_total", kCounter, "", "Scans run; queries that wait together share one."},
    {"bebr_documents_scanned_total", kCounter, "", "Documents times queries scanned."},
    {"bebr_scanned_bytes_total", kCounter, "", "Bytes of codes read by scans."},
    {"bebr_scan_seconds_total", kCounter, "", "Time spent scanning."},
    {"bebr_documents_upserted_total", kCounter, "", "Documents written."},
    {"bebr_documents_deleted_total", kCounter, "", "Documents deleted."},
    {"bebr_documents_reencoded_total", kCounter, "", "Documents re-encoded by backfills."},
    {"bebr_refused_queries_total", kCounter, "", "Queries refused because the queue was full."},
    {"bebr_refused_upserts_total", kCounter, "reason", "Writes refused for want of room: queue, memory, disk."},
    {"bebr_failed_commits_total", kCounter, "", "Groups of writes that storage did not take."},
    {"bebr_write_queue_seconds", kHistogram, "",
     "Time from a write's call to its commit, its encoding among it; of streams, each message's."},
    {"bebr_commit_seconds", kHistogram, "",
     "Time of a group of writes to storage, its sync among it; failed ones too."},
    {"bebr_sync_seconds", kHistogram, "", "Time of the sync of the log in a commit."},
    {"bebr_refused_stream_messages_total", kCounter, "grpc_code",
     "Messages of upsert streams that were answered with an error."},
    {"bebr_rate_limited_calls_total", kCounter, "key,limit",
     "Times that a call was refused, or a stream held back, because its key's rate was used up."},
    {"bebr_slow_queries_total", kCounter, "", "Searches that took slow_query_ms or longer."},
    {"bebr_collection_calls_total", kCounter, "collection,kind,result",
     "Calls about a collection, of kind search, write or other: ok, refused (for what was asked, or the load), "
     "failed."},
    {"bebr_collection_call_seconds", kHistogram, "collection,kind",
     "Time of calls about a collection that search or write."},
    {"bebr_collection_queries_total", kCounter, "collection", "Queries answered in calls about a collection."},
    {"bebr_collection_documents_scanned_total", kCounter, "collection",
     "Documents times queries scanned in calls about a collection."},
    {"bebr_collection_request_bytes_total", kCounter, "collection",
     "Bytes of the requests of calls about a collection."},
    {"bebr_collection_answer_bytes_total", kCounter, "collection", "Bytes of the answers of calls about a collection."},
    {"bebr_key_calls_total", kCounter, "key,kind,result",
     "Calls with an API key, of kind search, write or other: ok, refused (for what was asked, or the load), failed."},
    {"bebr_key_call_seconds", kHistogram, "key,kind", "Time of calls with an API key that search or write."},
    {"bebr_key_queries_total", kCounter, "key", "Queries answered in calls with an API key."},
    {"bebr_key_documents_scanned_total", kCounter, "key", "Documents times queries scanned in calls with an API key."},
    {"bebr_key_request_bytes_total", kCounter, "key", "Bytes of the requests of calls with an API key."},
    {"bebr_key_answer_bytes_total", kCounter, "key", "Bytes of the answers of calls with an API key."},
    {"bebr_connections", kGauge, "", "Open connections."},
    {"bebr_refused_connections_total", kCounter, "", "Connections closed because there were max_connections."},
    {"bebr_closed_strangers_total", kCounter, "reason",
     "Connections closed whose callers had made no call that was let in: bytes, silence, room; or whosever: calls."},
    {"bebr_certificate_expiry_timestamp_seconds", kGauge, "",
     "When the TLS certificate in use expires, in seconds since 1970; not there without TLS."},
    {"bebr_reloads_total", kCounter, "what,result",
     "Times that configuration, keys or certificate were read again: ok, they are in use; failed, the old ones "
     "stay."},
    {"bebr_reload_failing", kGauge, "what",
     "1 while configuration, keys or certificate are not in use as they are on disk, because they are not valid."},
    {"bebr_spans_total", kCounter, "result",
     "Spans for the collector of traces: sent, dropped because it did not take them or too many waited."},
    {"bebr_pending_response_bytes", kGauge, "", "Answers that their clients have not taken yet."},
    {"bebr_slow_readers_total", kCounter, "", "Calls cancelled because their client did not take the answer."},
    {"bebr_ingest_stage_seconds_total", kCounter, "stage", "Time of ingestion by stage: encode, commit, apply."},
    {"bebr_queued_queries", kGauge, "", "Queries waiting for a scan."},
    {"bebr_kept_views", kGauge, "", "Views of collections that calls keep for others."},
    {"bebr_kept_views_bytes", kGauge, "", "Memory of what was replaced or deleted and kept views still see."},
    {"bebr_queued_upsert_bytes", kGauge, "", "Floats waiting to be encoded and committed."},
    {"bebr_threads", kGauge, "", "Threads of scans and encoding."},
    {"bebr_collection_state", kGauge, "collection",
     "0: it serves. 1: it takes no writes, for a fault of the disk. 2: it is unavailable, its files are damaged. 3: it "
     "serves, but scrubbing found a damaged file or row."},
    {"bebr_collection_documents", kGauge, "collection", "Documents of a collection."},
    {"bebr_collection_deleted_rows", kGauge, "collection",
     "Replaced or deleted rows whose memory is not yet reclaimed."},
    {"bebr_collection_memory_bytes", kGauge, "collection,part",
     "Memory of a collection: codes, ids, attributes, models."},
    {"bebr_collection_memory_formula_bytes", kGauge, "collection",
     "What the memory formula gives for the collection's documents, with ids of 16 bytes."},
    {"bebr_collection_disk_bytes", kGauge, "collection", "Disk space of a collection."},
    {"bebr_snapshot_newest_timestamp_seconds", kGauge, "collection",
     "When the newest snapshot of a collection was made, in seconds since 1970; not there without snapshots."},
    {"bebr_version_documents", kGauge, "collection,version", "Documents whose code the version wrote."},
    {"bebr_version_embeddings", kGauge, "collection,version", "Documents with stored floats that the version takes."},
    {"bebr_version_backfill_running", kGauge, "collection,version",
     "1 while the server re-encodes documents for the version."},
    {"bebr_version_backfill_failed", kGauge, "collection,version",
     "1 if the last backfill of the version ended early, for an error."},
    {"bebr_version_recall_ratio", kGauge, "collection,version",
     "Recall@10 of the version's codes on sampled documents, as the recall monitor found it last."},
    {"bebr_version_score_error_p99", kGauge, "collection,version",
     "99th percentile of how far estimated scores are from exact ones, over the exact neighbours, found likewise."},
    {"bebr_version_probe_share", kGauge, "collection,version",
     "The least share of the documents of which a probe finds 0.95 of what scoring all documents finds, found "
     "likewise."},
    {"bebr_auto_fits_total", kCounter, "collection", "Binarizers that the server fitted to a collection's documents."},
    {"bebr_auto_promotions_total", kCounter, "collection",
     "Of these, those that became the collection's default version."},
    {"bebr_auto_recall_ratio", kGauge, "collection",
     "Recall@10 of the codes of a collection with binarizers of the server's making, as measured last."},
    {"bebr_auto_recall_goal_ratio", kGauge, "collection", "The recall@10 below which there is a new fit."},
    {"bebr_auto_fitted_documents", kGauge, "collection", "Documents that were there at the last fit."},
    {"bebr_auto_failing", kGauge, "collection", "1 while the last attempt at a fit has failed."},
    {"bebr_recall_measurements_total", kCounter, "result", "Measurements of the recall monitor: ok, failed."},
    {"bebr_scrubbed_bytes_total", kCounter, "",
     "Bytes of codes and attributes in memory and of table files that were scrubbed."},
    {"bebr_scrub_mended_documents_total", kCounter, "",
     "Documents whose codes or attributes in memory were not as stored, and were put right."},
    {"bebr_disk_free_bytes", kGauge, "", "Free space on the file system of data_dir."},
    {"bebr_disk_size_bytes", kGauge, "", "Size of the file system of data_dir."},
    {"bebr_storage_wal_bytes_total", kCounter, "", "Bytes written to RocksDB's write-ahead logs."},
    {"bebr_storage_wal_syncs_total", kCounter, "", "Syncs of RocksDB's write-ahead logs."},
    {"bebr_storage_flushed_bytes_total", kCounter, "", "Bytes written from RocksDB's write buffers to files."},
    {"bebr_storage_compaction_bytes_total", kCounter, "direction", "Bytes of RocksDB's compactions: read, written."},
    {"bebr_storage_stall_seconds_total", kCounter, "", "Time that RocksDB held writes back."},
    {"bebr_storage_cache_requests_total", kCounter, "result", "Look-ups in RocksDB's block cache: hit, miss."},
    {"bebr_storage_cache_bytes", kGauge, "", "Memory of RocksDB's block cache."},
    {"bebr_storage_write_buffer_bytes", kGauge, "", "Memory of RocksDB's write buffers."},
    {"bebr_storage_file_bytes", kGauge, "", "RocksDB's table files, without logs."},
    {"bebr_storage_pending_compaction_bytes", kGauge, "", "Estimate of what compactions have yet to rewrite."},
    {"bebr_node_calls_total", kCounter, "node,result",
     "Calls of a gateway to a node: ok, refused (for what was asked, or the load), failed."},
    {"bebr_node_call_seconds", kHistogram, "node", "Time of a gateway's calls to a node."},
    {"bebr_node_answers", kGauge, "node", "1 while a node answers its gateway, which asks about once a second."},
    {"bebr_log_dropped_total", kCounter, "", "Lines of the log that were dropped because they could not be written."},
    {"bebr_ready", kGauge, "", "1 while calls are taken, else 0."},
    {"bebr_option", kGauge, "option", "Value of a numeric option of the server, limits among them."},
    {"bebr_build_info", kGauge, "version,simd", "Always 1; the build and the kernel table in use."},
    {"process_resident_memory_bytes", kGauge, "", "Resident memory of the process."},
    {"process_cpu_seconds_total", kCounter, "", "Processor time of the process."},
    {"process_open_fds", kGauge, "", "Open file descriptors of the process."},
    {"process_max_fds", kGauge, "", "File descriptors that the process may open."},
    {"process_start_time_seconds", kGauge, "", "Start of the process, in seconds since 1970."},
};

}  // namespace

std::span<const MetricInfo> AllMetrics() { return kMetrics; }

prometheus::MetricFamily EmptyFamily(const char* name) {
  for (const MetricInfo& info : AllMetrics()) {
    if (std::string_view(info.name) == name)
      return {.name = info.name, .help = info.help, .type = info.type, .metric = {}};
  }
  std::fprintf(stderr, "metric %s is not in the table of server/metrics/metric_table.cc\n", name);
  std::abort();  // a mistake in the program, found by the first scrape
}

}  // namespace bebr
