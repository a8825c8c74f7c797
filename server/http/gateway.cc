#include "server/http/gateway.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "index/base/logging.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "server/call/status.h"
#include "server/config/config.h"
#include "server/http/http_call.h"
#include "server/http/static_files.h"
#include "server/net/connections.h"
#include "server/net/credentials.h"
#include "server/net/sockets.h"

namespace bebr {
namespace {

// Connections at a time. Those that send nothing are closed after the timeout.
constexpr unsigned kMaxConnections = 1024;
constexpr unsigned kTimeoutSeconds = 30;
constexpr size_t kConnectionBytes = 32 << 10;  // for headers, and for a piece of a body
constexpr const char* kTlsPriorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
constexpr absl::Duration kLookEvery = absl::Seconds(1);  // at the TLS files

// A request on its way. Made when its headers are there, deleted when it is answered.
struct Request {
  // A refusal is known before the call is made, and then there is none.
  enum class State { kReading, kRunning, kAnswered } state = State::kReading;
  std::unique_ptr<HttpCall> call;
  HttpAnswer refusal;
  std::string allowed_origin;  // of a web page that may read the answer
};

HttpAnswer Refusal(absl::StatusCode code, const std::string& message, unsigned http_status = 0) {
  HttpAnswer answer = ErrorAnswer(ToGrpcStatus(absl::Status(code, message)));
  if (http_status != 0) answer.status = http_status;
  return answer;
}

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

class MicroGateway final : public Gateway {
 public:
  MicroGateway(RpcContext& rpc, const Door& door, const std::shared_ptr<grpc::Channel>& channel,
               std::function<std::string()> times)
      : config_(rpc.config),
        door_(door),
        times_(std::move(times)),
        calls_{rpc, grpc::GenericStub(channel), ThreadPool(rpc.config.read_threads)},
        origins_(absl::StrSplit(config_.http_allowed_origins, ',', absl::SkipWhitespace())),
        guards_host_(config_.keys_file.empty() && IsLoopback(config_.http_listen)) {}

  ~MicroGateway() override {
    Drain();
    {
      MutexLock lock(&mutex_);
      while (running_ > 0) idle_.Wait(&mutex_);
    }
    for (const Daemon& daemon : daemons_) MHD_stop_daemon(daemon.mhd);
  }

  absl::Status Listen() {
    BEBR_ASSIGN_OR_RETURN(ListeningSockets listening, ListenOn("http_listen", config_.http_listen));
    port_ = listening.port;
    const int socket = dup(listening.sockets.front().get());
    if (socket < 0) return absl::UnavailableError(absl::StrFormat("http_listen: dup: %s", std::strerror(errno)));
    PemFiles files;
    if (!config_.console_dir.empty()) {
      BEBR_ASSIGN_OR_RETURN(console_, StaticFiles::Read("console_dir", config_.console_dir));
    }
    if (!config_.tls_cert_file.empty()) {
      BEBR_ASSIGN_OR_RETURN(files, ReadPemFiles(config_));
      stamp_ = StampOf(config_);
    }
    BEBR_RETURN_IF_ERROR(StartDaemon(socket, files));
    if (!config_.tls_cert_file.empty()) watcher_ = std::thread([this] { WatchFiles(); });
    return absl::OkStatus();
  }

  void Drain() override {
    {
      MutexLock lock(&mutex_);
      if (std::exchange(draining_, true)) return;
      stop_.NotifyAll();
    }
    calls_.gate.Close();
    if (watcher_.joinable()) watcher_.join();
    if (daemons_.empty()) return;
    if (const int socket = MHD_quiesce_daemon(daemons_.back().mhd); socket >= 0) close(socket);
  }
  int port() const override { return port_; }

 private:
  // One daemon for each pair of TLS files that was in use: older ones keep the connections that they have.
  struct Daemon {
    MHD_Daemon* mhd;
    std::unique_ptr<PemFiles> files;  // borrowed by the daemon
  };

  // Takes the socket.
  absl::Status StartDaemon(int socket, const PemFiles& pem) {
    auto files = std::make_unique<PemFiles>(pem);
    std::vector<MHD_OptionItem> tls;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    if (!files->cert.empty()) {
      flags |= MHD_USE_TLS;
      tls.push_back({MHD_OPTION_HTTPS_MEM_CERT, 0, files->cert.data()});
      tls.push_back({MHD_OPTION_HTTPS_MEM_KEY, 0, files->key.data()});
      tls.push_back({MHD_OPTION_HTTPS_PRIORITIES, 0, const_cast<char*>(kTlsPriorities)});
    }
    tls.push_back({MHD_OPTION_END, 0, nullptr});
    MHD_Daemon* mhd = MHD_start_daemon(
        flags, /*port=*/0, nullptr, nullptr, &MicroGateway::Handle, this, MHD_OPTION_EXTERNAL_LOGGER,
        &MicroGateway::Log, nullptr, MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_CONNECTION_LIMIT, kMaxConnections,
        MHD_OPTION_CONNECTION_TIMEOUT, kTimeoutSeconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes,
        MHD_OPTION_NOTIFY_COMPLETED, &MicroGateway::Completed, nullptr, MHD_OPTION_ARRAY, tls.data(), MHD_OPTION_END);
    if (mhd == nullptr) {
      close(socket);
      return absl::UnavailableError(
          absl::StrFormat("http_listen \"%s\": the HTTP server cannot start", config_.http_listen));
    }
    daemons_.push_back({mhd, std::move(files)});
    return absl::OkStatus();
  }

  // Looks for new TLS files, until Drain.
  void WatchFiles() {
    while (true) {
      {
        MutexLock lock(&mutex_);
        if (!draining_) stop_.WaitFor(&mutex_, kLookEvery);
        if (draining_) return;
      }
      const auto stamp = StampOf(config_);
      if (stamp == stamp_) continue;
      const absl::StatusOr<PemFiles> files = ReadPemFiles(config_);
      if (!files.ok()) continue;  // the gRPC side says so; the other file of the pair may follow
      stamp_ = stamp;
      const int socket = MHD_quiesce_daemon(daemons_.back().mhd);
      if (socket < 0) continue;
      if (const absl::Status status = StartDaemon(socket, *files); !status.ok())
        LogError("{}", std::string(status.message()));
    }
  }

  static void Log(void*, const char* format, va_list arguments) {
    char text[256];
    std::vsnprintf(text, sizeof(text), format, arguments);
    LogDebug("http: {}", text);
  }
  static void Completed(void*, MHD_Connection*, void** request, MHD_RequestTerminationCode) {
    delete static_cast<Request*>(*request);
    *request = nullptr;
  }
  static MHD_Result Handle(void* self, MHD_Connection* connection, const char* url, const char* method, const char*,
                           const char* data, size_t* bytes, void** request) {
    auto* gateway = static_cast<MicroGateway*>(self);
    if (*request == nullptr) {
      auto* begun = new Request;
      *request = begun;
      const bool goes_on = gateway->Begin(connection, url, method, *begun);
      return goes_on ? MHD_YES : Send(connection, begun->refusal, begun->allowed_origin);
    }
    return gateway->Continue(connection, {data, *bytes}, bytes, *static_cast<Request*>(*request));
  }

  // Whether the request's body is wanted; if not, the answer is in its refusal.
  bool Begin(MHD_Connection* connection, std::string_view url, std::string_view verb, Request& request) {
    if (!CheckOrigin(connection, request)) return false;
    if (verb == "OPTIONS" && !request.allowed_origin.empty()) {
      request.refusal = Preflight();
      return false;
    }
    if (!config_.console_dir.empty() && url.substr(0, 8) == "/console") {
      if (url == "/console/times" && verb == "GET") {
        Times(connection, request);
      } else {
        request.refusal = Console(url, verb);
      }
      return false;
    }
    const Method* method = door_.Find(std::string(url));
    // On the wire a call is a stream of one message: a method that takes a stream takes that (a collection without a
    // model file is created so).
    if (method == nullptr || method->server_streams) {
      request.refusal = Refusal(
          absl::StatusCode::kUnimplemented,
          method == nullptr ? absl::StrFormat("there is no method \"%s\"; calls are POST /bebr.v1.SearchService/"
                                              "Search and its like",
                                              url.substr(0, 128))
                            : absl::StrFormat("%s answers with a stream; over HTTP there are only single answers", url),
          method == nullptr ? MHD_HTTP_NOT_FOUND : 0);
      return false;
    }
    if (verb != "POST") {
      request.refusal =
          Refusal(absl::StatusCode::kUnimplemented,
                  absl::StrFormat("calls are made with POST, not %s", verb.substr(0, 16)), MHD_HTTP_METHOD_NOT_ALLOWED);
      request.refusal.headers.emplace_back("Allow", "POST");
      return false;
    }
    HttpHeaders headers;
    return ReadHeaders(connection, headers, request.refusal) && Admit(*method, std::move(headers), request);
  }

  // Whether the caller may go on, by what the headers say alone.
  bool Admit(const Method& method, HttpHeaders headers, Request& request) {
    if (const MutexLock lock(&mutex_); draining_) {
      request.refusal = Refusal(absl::StatusCode::kUnavailable, "the server is stopping");
      return false;
    }
    const bool admitted = door_.MayCall(method, headers.key()).ok();
    request.call = std::make_unique<HttpCall>(calls_, method, std::move(headers));
    if (admitted) return true;
    request.call->RunRefused();
    request.refusal = request.call->answer();
    return false;
  }

  // False, with the answer, if the request comes from a web page of a foreign origin.
  bool CheckOrigin(MHD_Connection* connection, Request& request) {
    const std::string host = Header(connection, "Host");
    // A page of any name may resolve that name to this machine: a server without keys answers to its own names only.
    if (guards_host_ && !host.empty() && !IsLoopback(absl::StrContains(host, ':') ? host : host + ":0")) {
      request.refusal =
          Refusal(absl::StatusCode::kPermissionDenied,
                  absl::StrFormat("Host is \"%s\"; a server without keys answers to localhost only", host));
      return false;
    }
    const std::string origin = Header(connection, "Origin");
    if (origin.empty()) return true;
    const size_t scheme = origin.find("://");
    if (scheme != std::string::npos && origin.substr(scheme + 3) == host) return true;
    if (std::find(origins_.begin(), origins_.end(), origin) != origins_.end()) {
      request.allowed_origin = origin;
      return true;
    }
    request.refusal = Refusal(absl::StatusCode::kPermissionDenied,
                              absl::StrFormat("Origin is \"%s\", which is not among http_allowed_origins", origin));
    return false;
  }

  // A file of the console, which asks for no key: it holds no data.
  HttpAnswer Console(std::string_view url, std::string_view verb) const {
    if (verb != "GET" && verb != "HEAD")
      return {MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n", "text/plain", {{"Allow", "GET, HEAD"}}};
    if (url == "/console") return {MHD_HTTP_MOVED_PERMANENTLY, "", "", {{"Location", "/console/"}}};
    const StaticFiles::File* file = url[8] == '/' ? console_.Find(url.substr(9)) : nullptr;
    if (file == nullptr) return {MHD_HTTP_NOT_FOUND, "the console has no such file\n", "text/plain", {}};
    return {MHD_HTTP_OK,
            file->bytes,
            file->content_type,
            {{"Cache-Control", "no-cache"},
             {"Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"},
             {"Referrer-Policy", "no-referrer"}}};
  }

  // How long calls took, for those who may ask for the counters.
  void Times(MHD_Connection* connection, Request& request) {
    HttpHeaders headers;
    headers.peer = PeerOf(connection);
    headers.authorization = Header(connection, "Authorization");
    const Method* counters = door_.Find("/bebr.v1.AdminService/GetStats");
    if (!Admit(*counters, std::move(headers), request)) return;
    request.call.reset();
    request.refusal = {MHD_HTTP_OK, times_(), "text/plain; version=0.0.4", {{"Cache-Control", "no-store"}}};
  }

  static HttpAnswer Preflight() {
    return {MHD_HTTP_NO_CONTENT,
            "",
            "",
            {{"Access-Control-Allow-Methods", "POST"},
             {"Access-Control-Allow-Headers",
              "authorization, connect-protocol-version, connect-timeout-ms, content-type, traceparent, x-request-id"},
             {"Access-Control-Max-Age", "7200"}}};
  }

  static bool ReadHeaders(MHD_Connection* connection, HttpHeaders& headers, HttpAnswer& refusal) {
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
        refusal =
            Refusal(absl::StatusCode::kInvalidArgument,
                    absl::StrFormat("Connect-Timeout-Ms is \"%s\"; it is a number of at most ten digits", timeout));
        return false;
      }
      headers.timeout = *parsed;
    }
    headers.peer = PeerOf(connection);
    headers.authorization = Header(connection, "Authorization");
    headers.request_id = Header(connection, "X-Request-Id");
    headers.traceparent = Header(connection, "Traceparent");
    return true;
  }

  MHD_Result Continue(MHD_Connection* connection, std::string_view piece, size_t* left, Request& request) {
    switch (request.state) {
      case Request::State::kReading:
        if (!piece.empty()) {
          *left = 0;
          // What follows a refusal is read and forgotten: an answer may not come in the middle of a body.
          if (request.refusal.body.empty()) {
            if (const absl::Status status = request.call->Append(piece); !status.ok()) {
              request.refusal = ErrorAnswer(ToGrpcStatus(status));
              request.call.reset();
            }
          }
          return MHD_YES;
        }
        if (request.call == nullptr) return Send(connection, request.refusal, request.allowed_origin);
        Run(connection, request);
        return MHD_YES;
      case Request::State::kRunning:
        return MHD_YES;
      case Request::State::kAnswered:
        return Send(connection, request.call->answer(), request.allowed_origin);
    }
    return MHD_NO;
  }

  // Has the call made, and Continue called again when its answer is there.
  void Run(MHD_Connection* connection, Request& request) {
    {
      MutexLock lock(&mutex_);
      ++running_;
    }
    request.state = Request::State::kRunning;
    MHD_suspend_connection(connection);
    request.call->Run([this, connection, &request] {
      MicroGateway* gateway = this;  // a resumed connection may end the request, and what this function holds with it
      request.state = Request::State::kAnswered;
      MHD_resume_connection(connection);
      MutexLock lock(&gateway->mutex_);
      if (--gateway->running_ == 0) gateway->idle_.NotifyAll();
    });
  }

  // `answer` must live until the request is completed.
  static MHD_Result Send(MHD_Connection* connection, const HttpAnswer& answer, const std::string& allowed_origin) {
    MHD_Response* response = MHD_create_response_from_buffer(answer.body.size(), const_cast<char*>(answer.body.data()),
                                                             MHD_RESPMEM_PERSISTENT);
    if (response == nullptr) return MHD_NO;
    if (!answer.content_type.empty())
      MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.content_type.c_str());
    for (const auto& [name, value] : answer.headers) MHD_add_response_header(response, name.c_str(), value.c_str());
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (!allowed_origin.empty()) {
      MHD_add_response_header(response, "Access-Control-Allow-Origin", allowed_origin.c_str());
      MHD_add_response_header(response, "Access-Control-Expose-Headers", "Retry-After, Traceparent, X-Request-Id");
      MHD_add_response_header(response, "Vary", "Origin");
    }
    const MHD_Result queued = MHD_queue_response(connection, answer.status, response);
    MHD_destroy_response(response);
    return queued;
  }

  const ServerConfig& config_;
  const Door& door_;
  const std::function<std::string()> times_;
  HttpCalls calls_;
  const std::vector<std::string> origins_;
  const bool guards_host_;
  StaticFiles console_;
  int port_ = 0;
  std::vector<Daemon> daemons_;  // the last one listens
  std::vector<std::filesystem::file_time_type> stamp_;
  std::thread watcher_;
  Mutex mutex_;
  CondVar idle_;
  CondVar stop_;
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;  // calls
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Gateway>> Gateway::Start(RpcContext& rpc, const Door& door,
                                                        const std::shared_ptr<grpc::Channel>& channel,
                                                        std::function<std::string()> times) {
  auto gateway = std::make_unique<MicroGateway>(rpc, door, channel, std::move(times));
  BEBR_RETURN_IF_ERROR(gateway->Listen());
  return std::unique_ptr<Gateway>(std::move(gateway));
}

}  // namespace bebr
