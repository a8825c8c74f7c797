#include "server/net/http_server.h"

#include <microhttpd.h>

#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "server/net/http_deadlines.h"
#include "server/net/micro_http.h"
#include "server/net/sockets.h"

namespace bebr {
namespace {

// Connections at a time. Beyond kMostStaying each new one takes the place of another (HttpDeadlines), so that strangers
// who hold connections keep no probe out; the rest is for those that are on their way out.
constexpr unsigned kMaxConnections = 1024;
constexpr size_t kMostStaying = 512;
constexpr absl::Duration kAnswerTime = absl::Seconds(60);  // to make it, and for the client to take it
constexpr unsigned kTimeoutSeconds = 5;
constexpr size_t kConnectionBytes = 16 << 10;  // for what a client sends
constexpr size_t kMaxWaitingScrapes = 16;

// A request on its way. Made when its headers are there, deleted when it is answered.
struct Request {
  enum class State { kNew, kMeasuring, kDone } state = State::kNew;
  std::string metrics;  // of a scrape, once it is done
};

// One thread takes connections, reads requests and sends answers; another one makes the text of /metrics, which may
// take long on a machine in trouble. So the probes are answered at once whatever happens.
class MicroHttpServer final : public HttpServer {
 public:
  MicroHttpServer(Metrics* metrics, std::function<ReadyAnswer()> ready) : metrics_(metrics), ready_(std::move(ready)) {}
  ~MicroHttpServer() override {
    if (daemon_ == nullptr) return;
    {
      MutexLock lock(&mutex_);
      stopping_ = true;  // no scrape begins any more
    }
    scraper_.reset();  // ends those that have begun: the daemon may not be stopped before
    MHD_stop_daemon(daemon_);
  }

  absl::Status Listen(const std::string& address) {
    BEBR_ASSIGN_OR_RETURN(ListeningSockets listening, ListenOn("metrics_listen", address));
    port_ = listening.port;
    daemon_ = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, /*port=*/0,
                               nullptr, nullptr, &MicroHttpServer::Handle, this, MHD_OPTION_EXTERNAL_LOGGER, &LogHttp,
                               nullptr, MHD_OPTION_UNESCAPE_CALLBACK, &UnescapeHttp, nullptr, MHD_OPTION_LISTEN_SOCKET,
                               listening.sockets.front().get(), MHD_OPTION_CONNECTION_LIMIT, kMaxConnections,
                               MHD_OPTION_CONNECTION_TIMEOUT, kTimeoutSeconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                               kConnectionBytes, MHD_OPTION_NOTIFY_COMPLETED, &MicroHttpServer::Completed, this,
                               MHD_OPTION_NOTIFY_CONNECTION, &HttpDeadlines::Notify, &deadlines_, MHD_OPTION_END);
    if (daemon_ != nullptr) {
      listening.sockets.front().Release();  // the daemon closes it
      return absl::OkStatus();
    }
    return absl::UnavailableError(absl::StrFormat("metrics_listen \"%s\": the HTTP server cannot start", address));
  }
  int port() const override { return port_; }

 private:
  static void Completed(void* self, MHD_Connection* connection, void** request, MHD_RequestTerminationCode) {
    static_cast<MicroHttpServer*>(self)->deadlines_.Set(connection, SteadyNow() + HttpDeadlines::kHead,
                                                        /*busy=*/false);
    delete static_cast<Request*>(*request);
    *request = nullptr;
  }
  static MHD_Result Handle(void* self, MHD_Connection* connection, const char* url, const char* method, const char*,
                           const char*, size_t*, void** request) {
    if (*request != nullptr)
      return static_cast<MicroHttpServer*>(self)->Answer(connection, url, *static_cast<Request*>(*request));
    *request = new Request;
    static_cast<MicroHttpServer*>(self)->deadlines_.Set(connection, SteadyNow() + kAnswerTime);
    if (const char* why = AmbiguityOf(connection)) return Send(connection, MHD_HTTP_BAD_REQUEST, why);
    const std::string_view verb = method;
    if (verb != "GET" && verb != "HEAD") return Send(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
    return MHD_YES;  // called again once the request is whole
  }

  MHD_Result Answer(MHD_Connection* connection, std::string_view url, Request& request) {
    if (url == "/healthz") return Send(connection, MHD_HTTP_OK, "alive\n");
    if (url == "/readyz") {
      const ReadyAnswer answer = ready_();
      return Send(connection, answer.ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, answer.text);
    }
    if (url != "/metrics") return Send(connection, MHD_HTTP_NOT_FOUND, "/metrics, /healthz, /readyz\n");
    if (request.state == Request::State::kDone)
      return Send(connection, MHD_HTTP_OK, request.metrics, "text/plain; version=0.0.4; charset=utf-8");
    if (request.state == Request::State::kMeasuring) return MHD_YES;
    if (!Measure(connection, request)) return Send(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "too many scrapes wait\n");
    return MHD_YES;
  }

  // Has the metrics written into the request, and Answer called again then. False if too many wait for that.
  bool Measure(MHD_Connection* connection, Request& request) {
    MutexLock lock(&mutex_);
    if (stopping_ || waiting_ >= kMaxWaitingScrapes) return false;
    ++waiting_;
    request.state = Request::State::kMeasuring;
    MHD_suspend_connection(connection);
    scraper_->Submit([this, connection, &request] {
      request.metrics = metrics_->Serialize();
      request.state = Request::State::kDone;
      {
        MutexLock lock(&mutex_);
        --waiting_;
      }
      MHD_resume_connection(connection);
    });
    return true;
  }

  static MHD_Result Send(MHD_Connection* connection, unsigned status, const std::string& text,
                         const char* content_type = "text/plain") {
    MHD_Response* response =
        MHD_create_response_from_buffer(text.size(), const_cast<char*>(text.data()), MHD_RESPMEM_MUST_COPY);
    if (response == nullptr) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    // What follows such a request may be part of it.
    if (status == MHD_HTTP_BAD_REQUEST) MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    const MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
  }

  Metrics* const metrics_;
  const std::function<ReadyAnswer()> ready_;
  int port_ = 0;
  HttpDeadlines deadlines_{kMostStaying};
  MHD_Daemon* daemon_ = nullptr;
  std::unique_ptr<ThreadPool> scraper_ = std::make_unique<ThreadPool>(1);
  Mutex mutex_;
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, Metrics* metrics,
                                                              std::function<ReadyAnswer()> ready) {
  auto server = std::make_unique<MicroHttpServer>(metrics, std::move(ready));
  // It listens on one address.
  constexpr std::string_view kLocal = "localhost:";
  const bool local = address.rfind(kLocal, 0) == 0;
  BEBR_RETURN_IF_ERROR(server->Listen(local ? "127.0.0.1:" + address.substr(kLocal.size()) : address));
  return server;
}

}  // namespace bebr
