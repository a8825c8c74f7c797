#include "server/metrics.h"

#include <google/protobuf/descriptor.h>
#include <prometheus/text_serializer.h>

#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bebr/v1/admin.pb.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/documents.pb.h"
#include "bebr/v1/search.pb.h"
#include "server/engine_metrics.h"

namespace bebr {
namespace {

constexpr auto kCounter = prometheus::MetricType::Counter;
constexpr auto kGauge = prometheus::MetricType::Gauge;
constexpr auto kHistogram = prometheus::MetricType::Histogram;

constexpr const char* kCodes[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};
constexpr std::string_view kOther = "other";

const prometheus::Histogram::BucketBoundaries& SecondsBuckets() {
  static const auto* const buckets = new prometheus::Histogram::BucketBoundaries{
      0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
  return *buckets;
}

prometheus::Family<prometheus::Counter>& CounterFamily(prometheus::Registry& registry, const char* name) {
  return prometheus::BuildCounter().Name(name).Help(EmptyFamily(name).help).Register(registry);
}

prometheus::Family<prometheus::Gauge>& GaugeFamily(prometheus::Registry& registry, const char* name) {
  return prometheus::BuildGauge().Name(name).Help(EmptyFamily(name).help).Register(registry);
}

prometheus::Family<prometheus::Histogram>& HistogramFamily(prometheus::Registry& registry, const char* name) {
  return prometheus::BuildHistogram().Name(name).Help(EmptyFamily(name).help).Register(registry);
}

}  // namespace

const std::vector<MetricInfo>& AllMetrics() {
  static const auto* const metrics = new std::vector<MetricInfo>{
      {"grpc_server_started_total", kCounter, "grpc_type,grpc_service,grpc_method", "RPCs started on the server."},
      {"grpc_server_handled_total", kCounter, "grpc_type,grpc_service,grpc_method,grpc_code",
       "RPCs completed on the server, whatever the outcome."},
      {"grpc_server_handling_seconds", kHistogram, "grpc_type,grpc_service,grpc_method",
       "Time from the start of an RPC on the server to its status."},
      {"grpc_server_msg_received_total", kCounter, "grpc_type,grpc_service,grpc_method",
       "Messages received from clients."},
      {"grpc_server_msg_sent_total", kCounter, "grpc_type,grpc_service,grpc_method", "Messages sent to clients."},
      {"bebr_search_stage_seconds", kHistogram, "stage",
       "Time a search spent in a stage: queue, encode, scan, rerank."},
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
      {"bebr_refused_stream_messages_total", kCounter, "grpc_code",
       "Messages of upsert streams that were answered with an error."},
      {"bebr_rate_limited_calls_total", kCounter, "key,limit",
       "Times that a call was refused, or a stream held back, because its key's rate was used up."},
      {"bebr_slow_queries_total", kCounter, "", "Searches that took slow_query_ms or longer."},
      {"bebr_connections", kGauge, "", "Open connections."},
      {"bebr_refused_connections_total", kCounter, "", "Connections closed because there were max_connections."},
      {"bebr_pending_response_bytes", kGauge, "", "Answers that their clients have not taken yet."},
      {"bebr_slow_readers_total", kCounter, "", "Calls cancelled because their client did not take the answer."},
      {"bebr_ingest_stage_seconds_total", kCounter, "stage", "Time of ingestion by stage: encode, commit, apply."},
      {"bebr_queued_queries", kGauge, "", "Queries waiting for a scan."},
      {"bebr_queued_upsert_bytes", kGauge, "", "Floats waiting to be encoded and committed."},
      {"bebr_threads", kGauge, "", "Threads of scans and encoding."},
      {"bebr_collection_documents", kGauge, "collection", "Documents of a collection."},
      {"bebr_collection_deleted_rows", kGauge, "collection",
       "Replaced or deleted rows whose memory is not yet reclaimed."},
      {"bebr_collection_memory_bytes", kGauge, "collection,part",
       "Memory of a collection: codes, ids, attributes, models."},
      {"bebr_collection_memory_formula_bytes", kGauge, "collection",
       "What the memory formula gives for the collection's documents, with ids of 16 bytes."},
      {"bebr_collection_disk_bytes", kGauge, "collection", "Disk space of a collection."},
      {"bebr_version_documents", kGauge, "collection,version", "Documents whose code the version wrote."},
      {"bebr_version_embeddings", kGauge, "collection,version", "Documents with stored floats that the version takes."},
      {"bebr_version_backfill_running", kGauge, "collection,version",
       "1 while the server re-encodes documents for the version."},
      {"bebr_version_recall_ratio", kGauge, "collection,version",
       "Recall@10 of the version's codes on sampled documents, as the recall monitor found it last."},
      {"bebr_recall_measurements_total", kCounter, "result", "Measurements of the recall monitor: ok, failed."},
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
      {"bebr_ready", kGauge, "", "1 while calls are taken, else 0."},
      {"bebr_option", kGauge, "option", "Value of a numeric option of the server, limits among them."},
      {"bebr_build_info", kGauge, "version,simd", "Always 1; the build and the kernel table in use."},
      {"process_resident_memory_bytes", kGauge, "", "Resident memory of the process."},
      {"process_cpu_seconds_total", kCounter, "", "Processor time of the process."},
      {"process_open_fds", kGauge, "", "Open file descriptors of the process."},
      {"process_max_fds", kGauge, "", "File descriptors that the process may open."},
      {"process_start_time_seconds", kGauge, "", "Start of the process, in seconds since 1970."},
  };
  return *metrics;
}

Metrics::Metrics()
    : started_(CounterFamily(registry_, "grpc_server_started_total")),
      handled_(CounterFamily(registry_, "grpc_server_handled_total")),
      seconds_(HistogramFamily(registry_, "grpc_server_handling_seconds")),
      received_(CounterFamily(registry_, "grpc_server_msg_received_total")),
      sent_(CounterFamily(registry_, "grpc_server_msg_sent_total")),
      stages_(HistogramFamily(registry_, "bebr_search_stage_seconds")),
      rate_limited_(CounterFamily(registry_, "bebr_rate_limited_calls_total")),
      options_(GaugeFamily(registry_, "bebr_option")),
      ready_(GaugeFamily(registry_, "bebr_ready").Add({})),
      connections_(GaugeFamily(registry_, "bebr_connections").Add({})),
      refused_connections_(CounterFamily(registry_, "bebr_refused_connections_total").Add({})),
      pending_response_bytes_(GaugeFamily(registry_, "bebr_pending_response_bytes").Add({})),
      slow_readers_(CounterFamily(registry_, "bebr_slow_readers_total").Add({})),
      slow_queries_(CounterFamily(registry_, "bebr_slow_queries_total").Add({})),
      queries_per_scan_(
          HistogramFamily(registry_, "bebr_search_queries_per_scan")
              .Add({}, prometheus::Histogram::BucketBoundaries{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024})),
      queue_(Stage("queue")),
      encode_(Stage("encode")),
      scan_(Stage("scan")),
      rerank_(Stage("rerank")) {
  // Every method is there from the start: rates are right from the first call on.
  for (const auto* file : {v1::SearchRequest::descriptor()->file(), v1::GetRequest::descriptor()->file(),
                           v1::Collection::descriptor()->file(), v1::GetStatsRequest::descriptor()->file()}) {
    const auto* service = file->service(0);
    for (int i = 0; i < service->method_count(); ++i) {
      const auto* method = service->method(i);
      const char* type = method->client_streaming() ? (method->server_streaming() ? "bidi_stream" : "client_stream")
                                                    : (method->server_streaming() ? "server_stream" : "unary");
      AddMethod(service->full_name(), method->name(), type);
    }
  }
  AddMethod(std::string(kOther), std::string(kOther), "unary");
  auto& messages = CounterFamily(registry_, "bebr_refused_stream_messages_total");
  for (size_t code = 0; code < refused_messages_.size(); ++code) {
    refused_messages_[code] = &messages.Add({{"grpc_code", kCodes[code]}});
  }
}

prometheus::Counter& Metrics::RateLimited(const std::string& key, const std::string& limit) {
  return rate_limited_.Add({{"key", key}, {"limit", limit}});
}

prometheus::Counter& Metrics::RefusedMessage(absl::StatusCode code) {
  constexpr size_t kUnknown = 2;
  const auto number = static_cast<size_t>(code);
  return *refused_messages_[number < refused_messages_.size() ? number : kUnknown];
}

void Metrics::SetOptions(const ServerConfig& config) {
  for (const auto& [name, value] : NumericOptions(config))
    options_.Add({{"option", name}}).Set(static_cast<double>(value));
}

prometheus::Histogram& Metrics::Stage(const char* stage) { return stages_.Add({{"stage", stage}}, SecondsBuckets()); }

void Metrics::AddMethod(const std::string& service, const std::string& method, const std::string& type) {
  const prometheus::Labels labels = {{"grpc_type", type}, {"grpc_service", service}, {"grpc_method", method}};
  Method entry;
  entry.started = &started_.Add(labels);
  entry.seconds = &seconds_.Add(labels, SecondsBuckets());
  entry.received = &received_.Add(labels);
  entry.sent = &sent_.Add(labels);
  for (size_t code = 0; code < entry.handled.size(); ++code) {
    prometheus::Labels with_code = labels;
    with_code["grpc_code"] = kCodes[code];
    entry.handled[code] = &handled_.Add(with_code);
  }
  methods_.emplace(service == kOther ? std::string(kOther) : absl::StrCat("/", service, "/", method), entry);
}

Metrics::Method& Metrics::ForMethod(std::string_view path) {
  const auto found = methods_.find(std::string(path));
  return found != methods_.end() ? found->second : methods_.find(std::string(kOther))->second;
}

void Metrics::ObserveSearch(const SearchTimings& timings) {
  constexpr double kSecondsPerMicrosecond = 1e-6;
  queue_.Observe(static_cast<double>(timings.queue_us) * kSecondsPerMicrosecond);
  encode_.Observe(static_cast<double>(timings.encode_us) * kSecondsPerMicrosecond);
  scan_.Observe(static_cast<double>(timings.scan_us) * kSecondsPerMicrosecond);
  if (timings.rerank_us > 0) rerank_.Observe(static_cast<double>(timings.rerank_us) * kSecondsPerMicrosecond);
  queries_per_scan_.Observe(timings.queries_in_scan);
}

void Metrics::SetEngine(Engine* engine) {
  absl::MutexLock lock(&engine_mutex_);
  engine_ = engine;
}

std::string Metrics::Serialize() {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  {
    // Held while reading, so that the engine does not close meanwhile.
    absl::MutexLock lock(&engine_mutex_);
    for (auto& family : ReadMetrics(engine_)) families.push_back(std::move(family));
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

}  // namespace bebr
