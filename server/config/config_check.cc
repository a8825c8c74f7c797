#include "server/config/config_check.h"

#include <cstdint>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "server/config/cluster_nodes.h"

namespace bebr {
namespace {

bool IsHostPort(std::string_view address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  return colon != std::string_view::npos && colon > 0 &&
         absl::SimpleAtoi(std::string(address.substr(colon + 1)), &port) && port <= 65535;
}

void CheckHttp(const ServerConfig& config, std::vector<std::string>& errors) {
  if (config.http_listen.empty()) {
    if (!config.http_allowed_origins.empty()) errors.push_back("http_allowed_origins needs http_listen");
    if (!config.console_dir.empty()) errors.push_back("console_dir needs http_listen");
    return;
  }
  if (!IsHostPort(config.http_listen)) {
    errors.push_back(absl::StrFormat("http_listen is \"%s\"; it is HOST:PORT or empty", config.http_listen));
  } else if (!IsLoopback(config.http_listen) && !config.allow_insecure_remote &&
             (config.tls_cert_file.empty() || config.keys_file.empty())) {
    errors.push_back(
        absl::StrFormat("http_listen is \"%s\", which other machines reach: give tls_cert_file, tls_key_file and "
                        "keys_file, or accept that anyone there may read and change everything with "
                        "allow_insecure_remote",
                        config.http_listen));
  }
  if (!config.tls_client_ca_file.empty()) {
    errors.push_back(
        "http_listen and tls_client_ca_file do not go together: HTTP asks for no client certificates, and so would be "
        "a way around them");
  }
  for (const absl::string_view origin : absl::StrSplit(config.http_allowed_origins, ',', absl::SkipEmpty())) {
    if (!absl::StartsWith(origin, "http://") && !absl::StartsWith(origin, "https://")) {
      errors.push_back(absl::StrFormat(
          "http_allowed_origins has \"%s\"; an origin is https://HOST or http://HOST:PORT, without a path", origin));
    }
  }
}

void CheckAddresses(const ServerConfig& config, std::vector<std::string>& errors) {
  if (!IsHostPort(config.listen)) {
    errors.push_back(absl::StrFormat("listen is \"%s\"; it is HOST:PORT, port 0 to 65535", config.listen));
  } else if (!IsLoopback(config.listen) && !config.allow_insecure_remote &&
             (config.tls_cert_file.empty() || (config.keys_file.empty() && config.tls_client_ca_file.empty()))) {
    errors.push_back(
        absl::StrFormat("listen is \"%s\", which other machines reach: give tls_cert_file, tls_key_file, and keys_file "
                        "or tls_client_ca_file, or accept "
                        "that anyone there may read and change everything with allow_insecure_remote",
                        config.listen));
  }
  CheckHttp(config, errors);
  if (!config.metrics_listen.empty() && !IsHostPort(config.metrics_listen)) {
    errors.push_back(absl::StrFormat("metrics_listen is \"%s\"; it is HOST:PORT or empty", config.metrics_listen));
  } else if (!config.metrics_listen.empty() && !IsLoopback(config.metrics_listen) && !config.allow_remote_metrics) {
    errors.push_back(
        absl::StrFormat("metrics_listen is \"%s\", which other machines reach, and asks for no key: accept with "
                        "allow_remote_metrics that anyone there may read names, sizes and load of the collections",
                        config.metrics_listen));
  }
}

void CheckCluster(const ServerConfig& config, std::vector<std::string>& errors) {
  if (config.cluster_nodes.empty()) {
    if (!config.cluster_self.empty()) errors.push_back("cluster_self needs cluster_nodes");
    if (!config.cluster_key_file.empty()) errors.push_back("cluster_key_file needs cluster_nodes");
    if (!config.cluster_ca_file.empty()) errors.push_back("cluster_ca_file needs cluster_nodes");
    if (!config.cluster_log.empty()) errors.push_back("cluster_log needs cluster_nodes");
    return;
  }
  if (config.cluster_log_single && config.cluster_log.empty()) errors.push_back("cluster_log_single needs cluster_log");
  const auto nodes = ParseClusterNodes(config.cluster_nodes, /*replicas=*/!config.cluster_log.empty());
  if (!nodes.ok()) {
    errors.push_back(std::string(nodes.status().message()));
    return;
  }
  if (config.is_node() && !FindNode(*nodes, config.cluster_self).has_value())
    errors.push_back(absl::StrFormat("cluster_self is \"%s\", which is no node of cluster_nodes", config.cluster_self));
  if (!config.is_gateway() || !config.cluster_ca_file.empty() || config.allow_insecure_remote) return;
  for (const NodePlace& node : *nodes) {
    if (IsLoopback(node.address)) continue;
    errors.push_back(
        absl::StrFormat("cluster_nodes has node \"%s\" at \"%s\", another machine: give cluster_ca_file, or accept "
                        "that the key and all "
                        "documents go there in clear with allow_insecure_remote",
                        node.name, node.address));
  }
}

void CheckEndpoint(const ServerConfig& config, std::vector<std::string>& errors) {
  if (config.otlp_endpoint.empty()) {
    if (!config.otlp_ca_file.empty()) errors.push_back("otlp_ca_file needs otlp_endpoint");
    return;
  }
  if (IsHostPort(config.otlp_endpoint)) return;
  errors.push_back(absl::StrFormat("otlp_endpoint is \"%s\"; it is HOST:PORT or empty", config.otlp_endpoint));
}

}  // namespace

void CheckTogether(const ServerConfig& config, std::vector<std::string>& errors) {
  if (config.data_dir.empty() && !config.is_gateway())
    errors.push_back("data_dir is not set; give a directory, e.g. --data_dir /var/lib/bebr");
  CheckAddresses(config, errors);
  CheckEndpoint(config, errors);
  CheckCluster(config, errors);
  constexpr const char* kLevels[] = {"debug", "info", "warning", "error"};
  bool known = false;
  for (const char* level : kLevels) known |= config.log_level == level;
  if (!known)
    errors.push_back(absl::StrFormat("log_level is \"%s\"; it is debug, info, warning or error", config.log_level));
  if (config.log_format != "text" && config.log_format != "json") {
    errors.push_back(absl::StrFormat("log_format is \"%s\"; it is text or json", config.log_format));
  }
  if (config.tls_cert_file.empty() != config.tls_key_file.empty()) {
    errors.push_back("tls_cert_file and tls_key_file go together; only one is set");
  }
  if (!config.tls_client_ca_file.empty() && config.tls_cert_file.empty()) {
    errors.push_back("tls_client_ca_file needs tls_cert_file and tls_key_file");
  }
}

}  // namespace bebr
