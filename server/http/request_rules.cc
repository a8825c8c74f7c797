#include "server/http/request_rules.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "server/http/connect.h"
#include "server/net/connections.h"
#include "server/net/micro_http.h"

namespace bebr {
namespace {

// A header's value, empty if it is not there or holds what gRPC's metadata may not.
std::string Header(MHD_Connection* connection, const char* name) {
  const char* value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
  if (value == nullptr) return {};
  const bool legal = std::all_of(value, value + std::strlen(value), [](char c) { return c >= 0x20 && c <= 0x7E; });
  return legal ? value : std::string();
}

// The address of the other end, as gRPC writes it.
std::string PeerOf(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  if (info == nullptr || info->client_addr == nullptr) return "unknown";
  sockaddr_storage address{};
  std::memcpy(&address, info->client_addr,
              info->client_addr->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  return PeerName(address);
}

}  // namespace

bool CheckLength(MHD_Connection* connection, HttpAnswer& refusal) {
  const char* ambiguity = AmbiguityOf(connection);
  if (ambiguity == nullptr) return true;
  refusal = Refusal(absl::StatusCode::kInvalidArgument, ambiguity);
  refusal.headers.emplace_back(MHD_HTTP_HEADER_CONNECTION, "close");
  return false;
}

HttpHeaders ReadCaller(MHD_Connection* connection) {
  HttpHeaders headers;
  headers.peer = PeerOf(connection);
  headers.authorization = Header(connection, "Authorization");
  return headers;
}

bool ReadHeaders(MHD_Connection* connection, HttpHeaders& headers, HttpAnswer& refusal) {
  headers = ReadCaller(connection);
  const std::string type = Header(connection, "Content-Type");
  const std::optional<BodyFormat> format = ParseContentType(type);
  if (!format.has_value()) {
    refusal = Refusal(absl::StatusCode::kInvalidArgument,
                      absl::StrFormat("Content-Type is \"%s\"; it is application/json or application/proto", type),
                      MHD_HTTP_UNSUPPORTED_MEDIA_TYPE);
    refusal.headers.emplace_back("Accept-Post", "application/json, application/proto");
    return false;
  }
  headers.format = *format;
  const std::string encoding = Header(connection, "Content-Encoding");
  if (!encoding.empty() && encoding != "identity") {
    refusal = Refusal(absl::StatusCode::kUnimplemented,
                      absl::StrFormat("Content-Encoding is \"%s\"; bodies are not compressed", encoding));
    refusal.headers.emplace_back("Accept-Encoding", "identity");
    return false;
  }
  if (const std::string timeout = Header(connection, "Connect-Timeout-Ms"); !timeout.empty()) {
    const std::optional<absl::Duration> parsed = ParseTimeout(timeout);
    if (!parsed.has_value()) {
      refusal = Refusal(absl::StatusCode::kInvalidArgument,
                        absl::StrFormat("Connect-Timeout-Ms is \"%s\"; it is a number of at most ten digits", timeout));
      return false;
    }
    headers.timeout = *parsed;
  }
  headers.request_id = Header(connection, "X-Request-Id");
  headers.traceparent = Header(connection, "Traceparent");
  return true;
}

OriginRules::OriginRules(const ServerConfig& config)
    : origins_(absl::StrSplit(config.http_allowed_origins, ',', absl::SkipWhitespace())),
      guards_host_(config.keys_file.empty() && IsLoopback(config.http_listen)) {}

bool OriginRules::Check(MHD_Connection* connection, std::string& allowed_origin, HttpAnswer& refusal) const {
  const std::string host = Header(connection, "Host");
  // A page of any name may resolve that name to this machine: a server without keys answers to its own names only.
  if (guards_host_ && !host.empty() && !IsLoopback(absl::StrContains(host, ':') ? host : host + ":0")) {
    refusal = Refusal(absl::StatusCode::kPermissionDenied,
                      absl::StrFormat("Host is \"%s\"; a server without keys answers to localhost only", host));
    return false;
  }
  const std::string origin = Header(connection, "Origin");
  if (origin.empty()) return true;
  const size_t scheme = origin.find("://");
  if (scheme != std::string::npos && origin.substr(scheme + 3) == host) return true;
  if (std::find(origins_.begin(), origins_.end(), origin) != origins_.end()) {
    allowed_origin = origin;
    return true;
  }
  refusal = Refusal(absl::StatusCode::kPermissionDenied,
                    absl::StrFormat("Origin is \"%s\", which is not among http_allowed_origins", origin));
  return false;
}

HttpAnswer OriginRules::Preflight() {
  return {MHD_HTTP_NO_CONTENT,
          "",
          "",
          {{"Access-Control-Allow-Methods", "POST"},
           {"Access-Control-Allow-Headers",
            "authorization, connect-protocol-version, connect-timeout-ms, content-type, traceparent, x-request-id"},
           {"Access-Control-Max-Age", "7200"}}};
}

}  // namespace bebr
