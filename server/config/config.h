// The options of bebr-server.
#ifndef BEBR_SERVER_CONFIG_CONFIG_H_
#define BEBR_SERVER_CONFIG_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bebr {

// What a server is told at its start. Every field is an option of the same name; options.cc holds the one table of
// names, limits and descriptions, which --help prints.
struct ServerConfig {
  std::string listen = "127.0.0.1:7700";
  std::string metrics_listen = "127.0.0.1:7701";
  std::string http_listen;
  std::string http_allowed_origins;
  std::string console_dir;
  std::string data_dir;
  std::string snapshot_dir;
  uint64_t threads = 0;
  std::string log_level = "info";
  std::string log_format = "text";
  uint64_t slow_query_ms = 1000;
  bool allow_insecure_remote = false;
  bool allow_remote_metrics = false;
  uint64_t max_message_bytes = uint64_t{64} << 20;
  uint64_t max_model_bytes = uint64_t{1} << 30;
  uint64_t max_connections = 10000;
  uint64_t max_concurrent_streams = 1024;
  uint64_t grpc_memory_bytes = uint64_t{1} << 30;
  uint64_t max_parsed_bytes = uint64_t{1} << 30;
  uint64_t max_queued_queries = 4096;
  uint64_t max_kept_views = 64;
  uint64_t max_queued_upsert_bytes = uint64_t{256} << 20;
  uint64_t max_results_per_call = 500000;
  uint64_t max_answer_bytes = uint64_t{1} << 30;
  uint64_t max_pending_response_bytes = uint64_t{512} << 20;
  uint64_t memory_limit_bytes = 0;
  uint64_t min_free_disk_bytes = uint64_t{256} << 20;
  uint64_t write_buffer_bytes = uint64_t{112} << 20;
  uint64_t block_cache_bytes = uint64_t{128} << 20;
  uint64_t recall_monitor_interval_s = 0;
  uint64_t recall_monitor_queries = 100;
  uint64_t recall_monitor_documents_per_s = 50000;
  uint64_t scrub_interval_s = 86400;
  uint64_t scrub_bytes_per_s = uint64_t{8} << 20;
  uint64_t read_threads = 4;
  uint64_t upsert_window_messages = 4;
  uint64_t keepalive_min_interval_s = 10;
  uint64_t handshake_timeout_s = 20;
  uint64_t idle_connection_timeout_s = 3600;
  uint64_t response_timeout_s = 60;
  uint64_t drain_timeout_s = 30;
  std::string otlp_endpoint;
  uint64_t otlp_sample_percent = 1;
  std::string otlp_ca_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string tls_client_ca_file;
  std::string keys_file;
  std::string cluster_nodes;
  std::string cluster_self;
  std::string cluster_key_file;
  std::string cluster_ca_file;
  uint64_t cluster_timeout_s = 30;
  std::string cluster_log;
  bool cluster_log_single = false;
  uint64_t cluster_compare_interval_s = 21600;
  uint64_t cluster_log_bytes = uint64_t{64} << 30;
  uint64_t cluster_replace_after_s = 0;
  uint64_t cluster_seed_bytes_per_s = uint64_t{64} << 20;

  // Of a cluster it is a node, which holds documents, or a gateway, which holds none, or neither: a server by itself.
  bool is_node() const { return !cluster_nodes.empty() && !cluster_self.empty(); }
  bool is_gateway() const { return !cluster_nodes.empty() && cluster_self.empty(); }
};

// What the command line asks for.
struct ServerCommand {
  ServerConfig config;
  bool print_config = false;
  bool verify = false;
  std::string repair;  // the collection; empty: none
  bool accept_loss = false;
  std::string cut;  // COLLECTION/SNAPSHOT; empty: none
  std::string cut_slots, cut_into, cut_position;
  bool help = false;
  bool version = false;
};

// Environment variables by name. A parameter so that tests need not touch the real environment.
using Environment = std::map<std::string, std::string>;

// Reads options from flags (--name value, --name=value; for true/false also plain --name), then for those not given
// from the environment (BEBR_NAME in upper case), then from the JSON object in the file named by --config or
// BEBR_CONFIG. INVALID_ARGUMENT lists every problem found, one a line: unknown names (also of variables that begin with
// BEBR_), values out of range, and settings that do not go together.
absl::StatusOr<ServerCommand> ParseServerConfig(const std::vector<std::string>& arguments,
                                                const Environment& environment);

// Options that differ between two configurations, by name: those that a running server takes over (LiveLimits, the
// engine's and the log's level), and those that take a restart.
struct OptionChanges {
  std::vector<std::string> live;
  std::vector<std::string> at_restart;
};
OptionChanges ChangedOptions(const ServerConfig& before, const ServerConfig& after);
// `running` with those options of `read` that a running server takes over.
ServerConfig WithLiveOptions(ServerConfig running, const ServerConfig& read);

// The configuration in use as a JSON object that --config reads back.
std::string PrintServerConfig(const ServerConfig& config);
// The options that are numbers, by name.
std::map<std::string, uint64_t> NumericOptions(const ServerConfig& config);
// All options with default, limits and meaning.
std::string ServerHelp();

// Whether the host of HOST:PORT is this machine only: 127.0.0.0/8, [::1] or localhost.
bool IsLoopback(std::string_view address);

}  // namespace bebr

#endif  // BEBR_SERVER_CONFIG_CONFIG_H_
