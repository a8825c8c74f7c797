#include "server/http/gateway.h"

#include <microhttpd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/logging.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "server/call/status.h"
#include "server/config/config.h"
#include "server/http/http_answer.h"
#include "server/http/http_call.h"
#include "server/http/request_rules.h"
#include "server/http/static_files.h"
#include "server/net/credentials.h"
#include "server/net/http_deadlines.h"
#include "server/net/micro_http.h"
#include "server/net/sockets.h"

namespace bebr {
namespace {

// Connections at a time. Those that send nothing are closed after the timeout.
constexpr unsigned kMaxConnections = 1024;
constexpr unsigned kTimeoutSeconds = 30;
constexpr unsigned kMaxOfHost = 768;
// A body may take so long, and longer only by what it brings.
constexpr absl::Duration kBodyTime = absl::Seconds(30);
constexpr uint64_t kSlowestBytesPerSecond = 16 << 10;
constexpr uint64_t kSlowestAnswerBytesPerSecond = 64 << 10;
constexpr size_t kConnectionBytes = 32 << 10;  // for headers, and for a piece of a body
constexpr std::string_view kConsolePath = "/console";
constexpr std::string_view kTimesPath = "/console/times";
constexpr const char* kTlsPriorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
constexpr absl::Duration kLookEvery = absl::Seconds(1);    // at the TLS files
constexpr absl::Duration kLastAnswers = absl::Seconds(5);  // for clients to take them, at the end
constexpr absl::Duration kLookAtHurry = absl::Milliseconds(50);

// A request on its way. Made when its headers are there, deleted when it is answered.
struct Request {
  // A refusal is known before the call is made, and then there is none.
  enum class State { kReading, kRunning, kAnswered } state = State::kReading;
  bool answering = false;  // counted in answering_
  std::unique_ptr<HttpCall> call;
  HttpAnswer refusal;
  SteadyTime begun = SteadyNow();
  uint64_t received_bytes = 0;
  std::string allowed_origin;  // of a web page that may read the answer
};

class MicroGateway final : public Gateway {
 public:
  MicroGateway(RpcContext& rpc, const Door& door, const std::shared_ptr<grpc::Channel>& channel,
               std::function<std::string()> times)
      : config_(rpc.config),
        door_(door),
        times_(std::move(times)),
        calls_{rpc, grpc::GenericStub(channel), ThreadPool(rpc.config.read_threads)},
        origins_(config_) {}

  ~MicroGateway() override {
    Drain();
    {
      MutexLock lock(&mutex_);
      while (running_ > 0) idle_.Wait(&mutex_);
      const SteadyTime end = SteadyNow() + kLastAnswers;
      while (answering_ > 0 && SteadyNow() < end && !calls_.rpc.gate.hurried()) idle_.WaitFor(&mutex_, kLookAtHurry);
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
    calls_.gate.AwaitEmpty(absl::InfiniteDuration());
    if (watcher_.joinable()) watcher_.join();
    if (daemons_.empty()) return;
    if (const int socket = MHD_quiesce_daemon(daemons_.back().mhd); socket >= 0) close(socket);
  }
  bool idle() const override {
    MutexLock lock(&mutex_);
    return running_ == 0;
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
        flags, /*port=*/0, nullptr, nullptr, &MicroGateway::Handle, this, MHD_OPTION_EXTERNAL_LOGGER, &LogHttp, nullptr,
        MHD_OPTION_UNESCAPE_CALLBACK, &UnescapeHttp, nullptr, MHD_OPTION_LISTEN_SOCKET, socket,
        MHD_OPTION_CONNECTION_LIMIT, kMaxConnections, MHD_OPTION_CONNECTION_TIMEOUT, kTimeoutSeconds,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes, MHD_OPTION_NOTIFY_COMPLETED, &MicroGateway::Completed,
        this, MHD_OPTION_NOTIFY_CONNECTION, &HttpDeadlines::Notify, &deadlines_, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        kMaxOfHost, MHD_OPTION_ARRAY, tls.data(), MHD_OPTION_END);
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

  static void Completed(void* self, MHD_Connection* connection, void** request, MHD_RequestTerminationCode) {
    // The next request may begin when the daemon's own timeout is nearly over.
    static_cast<MicroGateway*>(self)->deadlines_.Set(
        connection, SteadyNow() + absl::Seconds(kTimeoutSeconds) + HttpDeadlines::kHead);
    const std::unique_ptr<Request> completed(static_cast<Request*>(std::exchange(*request, nullptr)));
    if (completed != nullptr && completed->answering) static_cast<MicroGateway*>(self)->Count(-1);
  }
  // Answers that clients have yet to take.
  void Count(int answers) {
    MutexLock lock(&mutex_);
    answering_ += answers;
    if (answering_ == 0) idle_.NotifyAll();
  }
  static MHD_Result Handle(void* self, MHD_Connection* connection, const char* url, const char* method, const char*,
                           const char* data, size_t* bytes, void** request) {
    auto* gateway = static_cast<MicroGateway*>(self);
    if (*request == nullptr) {
      auto* begun = new Request;
      *request = begun;
      gateway->deadlines_.Set(connection, begun->begun + kBodyTime);
      const bool goes_on = gateway->Begin(connection, url, method, *begun);
      return goes_on ? MHD_YES : gateway->Send(connection, begun->refusal, *begun);
    }
    return gateway->Continue(connection, {data, *bytes}, bytes, *static_cast<Request*>(*request));
  }

  // Whether the request's body is wanted; if not, the answer is in its refusal.
  bool Begin(MHD_Connection* connection, std::string_view url, std::string_view verb, Request& request) {
    if (!CheckLength(connection, request.refusal)) return false;
    if (!origins_.Check(connection, request.allowed_origin, request.refusal)) return false;
    if (verb == "OPTIONS" && !request.allowed_origin.empty()) {
      request.refusal = OriginRules::Preflight();
      return false;
    }
    if (!config_.console_dir.empty() && url.substr(0, kConsolePath.size()) == kConsolePath) {
      if (url == kTimesPath && verb == "GET") {
        Times(connection, request);
      } else {
        request.refusal = ConsoleAnswer(console_, url.substr(kConsolePath.size()), verb);
      }
      return false;
    }
    const Method* method = FindMethod(url, verb, request.refusal);
    HttpHeaders headers;
    return method != nullptr && ReadHeaders(connection, headers, request.refusal) &&
           Admit(*method, std::move(headers), request);
  }

  // The method that is called; null, with the answer, if it cannot be.
  const Method* FindMethod(std::string_view url, std::string_view verb, HttpAnswer& refusal) const {
    const Method* method = door_.Find(std::string(url));
    if (method == nullptr) {
      refusal =
          Refusal(absl::StatusCode::kUnimplemented,
                  absl::StrFormat("there is no method \"%s\"; calls are POST /bebr.v1.SearchService/Search and its "
                                  "like",
                                  url.substr(0, 128)),
                  MHD_HTTP_NOT_FOUND);
      return nullptr;
    }
    // On the wire a call is a stream of one message: a method that takes a stream takes that (a collection without a
    // model file is created so).
    if (method->server_streams) {
      refusal = Refusal(absl::StatusCode::kUnimplemented,
                        absl::StrFormat("%s answers with a stream; over HTTP there are only single answers", url));
      return nullptr;
    }
    if (verb != "POST") {
      refusal =
          Refusal(absl::StatusCode::kUnimplemented,
                  absl::StrFormat("calls are made with POST, not %s", verb.substr(0, 16)), MHD_HTTP_METHOD_NOT_ALLOWED);
      refusal.headers.emplace_back("Allow", "POST");
      return nullptr;
    }
    return method;
  }

  // How long calls took, for those who may ask for the counters.
  void Times(MHD_Connection* connection, Request& request) {
    const Method* counters = door_.Find("/bebr.v1.AdminService/GetStats");
    if (!Admit(*counters, ReadCaller(connection), request)) return;
    request.call.reset();
    request.refusal = {MHD_HTTP_OK, times_(), "text/plain; version=0.0.4", {{"Cache-Control", "no-store"}}};
  }

  // Whether the caller may go on, by what the headers say alone.
  bool Admit(const Method& method, HttpHeaders headers, Request& request) {
    if (const MutexLock lock(&mutex_); draining_) {
      request.refusal = Refusal(absl::StatusCode::kUnavailable, "the server is stopping");
      return false;
    }
    const absl::StatusOr<Identity> caller = door_.MayCall(method, headers.key());
    request.call = std::make_unique<HttpCall>(calls_, method, caller.value_or(Identity()), std::move(headers));
    if (caller.ok()) return true;
    request.call->RunRefused();
    request.refusal = request.call->answer();
    return false;
  }

  MHD_Result Continue(MHD_Connection* connection, std::string_view piece, size_t* left, Request& request) {
    switch (request.state) {
      case Request::State::kReading:
        if (!piece.empty()) {
          *left = 0;
          request.received_bytes += piece.size();
          deadlines_.Set(connection,
                         request.begun + kBodyTime + absl::Seconds(request.received_bytes / kSlowestBytesPerSecond));
          // What follows a refusal is read and forgotten: an answer may not come in the middle of a body.
          if (request.refusal.body.empty()) {
            if (const absl::Status status = request.call->Append(piece); !status.ok()) {
              request.refusal = ErrorAnswer(ToGrpcStatus(status));
              request.call.reset();
            }
          }
          return MHD_YES;
        }
        if (request.call == nullptr) return Send(connection, request.refusal, request);
        Run(connection, request);
        return MHD_YES;
      case Request::State::kRunning:
        return MHD_YES;
      case Request::State::kAnswered:
        return Send(connection, request.call->answer(), request);
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
    deadlines_.Set(connection, absl::InfiniteDuration());  // the call has its own
    MHD_suspend_connection(connection);
    request.call->Run([this, connection, &request] {
      MicroGateway* gateway = this;  // a resumed connection may end the request, and what this function holds with it
      request.state = Request::State::kAnswered;
      request.answering = true;
      Count(1);
      MHD_resume_connection(connection);
      MutexLock lock(&gateway->mutex_);
      if (--gateway->running_ == 0) gateway->idle_.NotifyAll();
    });
  }

  // `answer` must live until the request is completed.
  MHD_Result Send(MHD_Connection* connection, const HttpAnswer& answer, Request& request) {
    if (!std::exchange(request.answering, true)) Count(1);
    const absl::Duration taking = absl::Seconds(answer.body.size() / kSlowestAnswerBytesPerSecond);
    deadlines_.Set(connection, SteadyNow() + absl::Seconds(calls_.rpc.limits.response_timeout_s.load()) + taking);
    const std::string& allowed_origin = request.allowed_origin;
    MHD_Response* response = MHD_create_response_from_buffer(answer.body.size(), const_cast<char*>(answer.body.data()),
                                                             MHD_RESPMEM_PERSISTENT);
    if (response == nullptr) return MHD_NO;
    if (!answer.content_type.empty())
      MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.content_type.c_str());
    for (const auto& [name, value] : answer.headers) MHD_add_response_header(response, name.c_str(), value.c_str());
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (const MutexLock lock(&mutex_); draining_)
      MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
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
  HttpDeadlines deadlines_;
  const OriginRules origins_;
  StaticFiles console_;
  int port_ = 0;
  std::vector<Daemon> daemons_;  // the last one listens
  std::vector<std::filesystem::file_time_type> stamp_;
  std::thread watcher_;
  mutable Mutex mutex_;
  CondVar idle_;  // nothing runs, or no answer is on its way
  CondVar stop_;
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;  // calls
  int64_t answering_ ABSL_GUARDED_BY(mutex_) = 0;
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
