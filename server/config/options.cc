#include "server/config/options.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace bebr {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 50;

using C = ServerConfig;

constexpr Option kOptions[] = {
    {"listen", &C::listen, 0, 0, "HOST:PORT of gRPC; port 0 takes a free one, which the log names"},
    {"metrics_listen", &C::metrics_listen, 0, 0, "HOST:PORT of /metrics, /healthz and /readyz over HTTP; empty: none"},
    {"http_listen", &C::http_listen, 0, 0,
     "HOST:PORT of the API as JSON over HTTP (Connect protocol), with the same keys and TLS files; empty: none"},
    {"http_allowed_origins", &C::http_allowed_origins, 0, 0,
     "origins of web pages that may call http_listen, with commas between: https://search.example.org; empty: none"},
    {"console_dir", &C::console_dir, 0, 0,
     "directory of the web console, which http_listen then serves at /console/; empty: none"},
    {"data_dir", &C::data_dir, 0, 0, "directory of the collections; required; created if it is not there"},
    {"snapshot_dir", &C::snapshot_dir, 0, 0,
     "directory of the snapshots; empty: snapshots in data_dir; on another file system files are copied, not linked"},
    {"threads", &C::threads, 0, 1024, "threads of scans and encoding; 0: the processors available"},
    {"log_level", &C::log_level, 0, 0, "debug, info, warning or error", true},
    {"log_format", &C::log_format, 0, 0, "text, or json: an object a line"},
    {"slow_query_ms", &C::slow_query_ms, 0, 1 << 30,
     "searches that take so long are logged with the time of each stage; 0: none", true},
    {"allow_insecure_remote", &C::allow_insecure_remote, 0, 0,
     "true: serve addresses that other machines reach without TLS or without keys"},
    {"allow_remote_metrics", &C::allow_remote_metrics, 0, 0,
     "true: serve metrics, which need no key, on an address that other machines reach"},
    {"max_message_bytes", &C::max_message_bytes, 64 << 10, uint64_t{2047} << 20, "largest gRPC message, in and out"},
    {"max_model_bytes", &C::max_model_bytes, 1 << 10, uint64_t{1} << 30,
     "largest model file; all uploads at once may have twice that", true},
    {"max_connections", &C::max_connections, 1, 1 << 20,
     "connections at a time, at most half of the file descriptors; beyond it they are closed"},
    {"max_concurrent_streams", &C::max_concurrent_streams, 1, 1 << 20, "calls in flight on one connection"},
    {"grpc_memory_bytes", &C::grpc_memory_bytes, 16 << 20, kMaxBytes,
     "memory of gRPC's buffers; beyond it calls are refused"},
    {"max_parsed_bytes", &C::max_parsed_bytes, 16 << 20, kMaxBytes,
     "memory of the requests in progress, once they are parsed, of which one key or host may take half; beyond it "
     "calls are refused",
     true},
    {"max_queued_queries", &C::max_queued_queries, 1, 1 << 24, "queries waiting for a scan; beyond it they are refused",
     true},
    {"max_kept_views", &C::max_kept_views, 0, 1 << 16,
     "views that calls keep for others (keep_view_s), half of them of one collection, and of one key or host half of "
     "what "
     "others leave; beyond it they are refused; 0: none",
     true},
    {"max_queued_upsert_bytes", &C::max_queued_upsert_bytes, 1 << 20, kMaxBytes,
     "floats waiting to be encoded and committed; beyond it writes are refused", true},
    {"max_results_per_call", &C::max_results_per_call, 1, uint64_t{1} << 32,
     "queries x the larger of k and rerank; searches that ask for more are refused", true},
    {"max_answer_bytes", &C::max_answer_bytes, 16 << 20, kMaxBytes,
     "memory of the answers that are being made, of which one key or host may take half; beyond it calls are refused",
     true},
    {"max_pending_response_bytes", &C::max_pending_response_bytes, 1 << 20, kMaxBytes,
     "answers that wait for slow clients, half of them of one key or host; beyond it calls are refused", true},
    {"memory_limit_bytes", &C::memory_limit_bytes, 0, kMaxBytes,
     "memory of all collections: writes beyond it, and collections that expect more, are refused; 0: no limit", true},
    {"min_free_disk_bytes", &C::min_free_disk_bytes, 0, kMaxBytes,
     "with less space left on the disk of data_dir nothing is added; deletes and searches go on; 0: no limit", true},
    {"write_buffer_bytes", &C::write_buffer_bytes, 448 << 10, uint64_t{7} << 30,
     "what a collection's store collects in memory before RocksDB writes it to files"},
    {"block_cache_bytes", &C::block_cache_bytes, 1 << 20, kMaxBytes,
     "memory for parts of RocksDB's files, of all collections: a larger one makes rerank and attributes faster", true},
    {"recall_monitor_interval_s", &C::recall_monitor_interval_s, 0, 1 << 30,
     "recall of every version with stored floats is measured so often, for bebr_version_recall_ratio; 0: never"},
    {"recall_monitor_queries", &C::recall_monitor_queries, 1, 1000,
     "sampled documents that are the queries of such a measurement"},
    {"recall_monitor_documents_per_s", &C::recall_monitor_documents_per_s, 0, uint64_t{1} << 32,
     "documents whose floats a measurement reads a second at most, on a thread that yields to all others; 0: no "
     "limit"},
    {"scrub_interval_s", &C::scrub_interval_s, 0, 1 << 30,
     "codes in memory are compared with what is stored, and all table files read for damage, so often; 0: never"},
    {"scrub_bytes_per_s", &C::scrub_bytes_per_s, 0, kMaxBytes,
     "bytes that this reads a second at most, on a thread that yields to all others; 0: no limit"},
    {"read_threads", &C::read_threads, 1, 256, "threads of calls that wait for the disk: Get, collections, statistics"},
    {"upsert_window_messages", &C::upsert_window_messages, 1, 256, "unacknowledged messages of one upsert stream",
     true},
    {"keepalive_min_interval_s", &C::keepalive_min_interval_s, 1, 3600,
     "clients that ping more often are disconnected"},
    {"handshake_timeout_s", &C::handshake_timeout_s, 1, 3600,
     "connections that have not spoken TLS and HTTP/2 by then are closed"},
    {"idle_connection_timeout_s", &C::idle_connection_timeout_s, 1, 1 << 30,
     "connections without a call for so long are closed; clients connect again by themselves"},
    {"response_timeout_s", &C::response_timeout_s, 1, 3600,
     "calls whose client does not take the answer by then are cancelled", true},
    {"drain_timeout_s", &C::drain_timeout_s, 0, 3600,
     "after SIGTERM calls in flight may take so long; then they are cancelled", true},
    {"otlp_endpoint", &C::otlp_endpoint, 0, 0,
     "HOST:PORT of a collector of OpenTelemetry (OTLP over gRPC) that takes calls as traces; empty: none"},
    {"otlp_sample_percent", &C::otlp_sample_percent, 0, 100,
     "calls of 100 that are traced where the client sends no traceparent; where it does, that says so", true},
    {"otlp_ca_file", &C::otlp_ca_file, 0, 0,
     "authorities (PEM) of the collector's certificate, which is then spoken to over TLS; empty: in plaintext"},
    {"tls_cert_file", &C::tls_cert_file, 0, 0,
     "certificate chain (PEM); with tls_key_file: TLS; read again when it changes"},
    {"tls_key_file", &C::tls_key_file, 0, 0, "private key (PEM) of the certificate"},
    {"tls_client_ca_file", &C::tls_client_ca_file, 0, 0,
     "authorities (PEM) of client certificates, which are then required"},
    {"keys_file", &C::keys_file, 0, 0, "JSON file of API keys (hashes, roles); empty: every caller may do everything"},
    {"cluster_nodes", &C::cluster_nodes, 0, 0,
     "nodes of a cluster, NAME=HOST:PORT with commas between, the same for all its servers; empty: a server by itself"},
    {"cluster_self", &C::cluster_self, 0, 0,
     "the node of cluster_nodes that this server is; empty: it is a gateway over them, and holds no documents"},
    {"cluster_key_file", &C::cluster_key_file, 0, 0,
     "file with the API key, of the role admin, that a gateway shows to nodes; empty: none"},
    {"cluster_ca_file", &C::cluster_ca_file, 0, 0,
     "authorities (PEM) of the nodes' certificates, which a gateway then speaks to over TLS, with tls_cert_file as its "
     "own certificate; empty: in plaintext"},
    {"cluster_timeout_s", &C::cluster_timeout_s, 1, 3600,
     "a gateway's calls to nodes may take so long where the client gives no deadline"},
    {"cluster_log", &C::cluster_log, 0, 0,
     "connection string of libpq to the PostgreSQL that has the cluster's log, the same for all its servers; nodes "
     "with "
     "the same slots are then replicas; empty: no log and no replicas"},
    {"cluster_log_single", &C::cluster_log_single, 0, 0,
     "true: a PostgreSQL without synchronous standbys is enough, whose disk is then the only one that has the log"},
    {"cluster_compare_interval_s", &C::cluster_compare_interval_s, 0, 1 << 30,
     "a gateway compares what replicas hold of all collections so often, reading scrub_bytes_per_s of each at most; 0: "
     "never"},
    {"cluster_log_bytes", &C::cluster_log_bytes, 0, kMaxBytes,
     "a gateway lets go of the log's oldest parts where it takes more than this, also of what a node that is away has "
     "not applied, which is then filled anew, if two others of its slots can do without; 0: never"},
    {"cluster_replace_after_s", &C::cluster_replace_after_s, 0, 1 << 30,
     "a gateway drains a replica that has not answered for so long, where as many others of its share serve as "
     "cluster_nodes has; 0: never"},
    {"cluster_seed_bytes_per_s", &C::cluster_seed_bytes_per_s, 0, kMaxBytes,
     "a node that is filled from another replica takes so many bytes a second at most; 0: no limit"},
};

}  // namespace

std::span<const Option> Options() { return kOptions; }

std::vector<std::string> OptionNames() {
  std::vector<std::string> names;
  for (const Option& option : Options()) names.push_back(option.name);
  return names;
}

const Option* FindOption(std::string_view name) {
  for (const Option& option : Options()) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

std::optional<std::string> SetOption(const Option& option, std::string_view text, ServerConfig& config) {
  if (const auto* field = std::get_if<std::string ServerConfig::*>(&option.field)) {
    config.*(*field) = std::string(text);
    return std::nullopt;
  }
  if (const auto* field = std::get_if<bool ServerConfig::*>(&option.field)) {
    if (text != "true" && text != "false") return absl::StrFormat("is \"%s\"; it is true or false", text);
    config.*(*field) = text == "true";
    return std::nullopt;
  }
  uint64_t number = 0;
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits || !absl::SimpleAtoi(std::string(text), &number))
    return absl::StrFormat("is \"%s\"; it is a whole number", text);
  if (number < option.min || number > option.max) {
    return absl::StrFormat("is %d; the limits are %d and %d", number, option.min, option.max);
  }
  config.*(std::get<uint64_t ServerConfig::*>(option.field)) = number;
  return std::nullopt;
}

}  // namespace bebr
