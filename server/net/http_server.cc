#include "server/net/http_server.h"

#include <CivetServer.h>

#include <exception>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"

namespace bebr {
namespace {

// Answers GET with what a function returns.
class TextHandler : public CivetHandler {
 public:
  struct Answer {
    bool ok = true;
    std::string text;
  };
  TextHandler(const char* content_type, std::function<Answer()> answer)
      : content_type_(content_type), answer_(std::move(answer)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    const Answer answer = answer_();
    mg_printf(connection, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
              answer.ok ? "200 OK" : "503 Service Unavailable", content_type_, answer.text.size());
    mg_write(connection, answer.text.data(), answer.text.size());
    return true;
  }

 private:
  const char* const content_type_;
  const std::function<Answer()> answer_;
};

class CivetHttpServer : public HttpServer {
 public:
  CivetHttpServer(const std::vector<std::string>& options, Metrics* metrics, const std::atomic<bool>* ready)
      : metrics_("text/plain; version=0.0.4; charset=utf-8",
                 [metrics] { return TextHandler::Answer{.ok = true, .text = metrics->Serialize()}; }),
        health_("text/plain", [] { return TextHandler::Answer{.ok = true, .text = "alive\n"}; }),
        ready_("text/plain",
               [ready] {
                 const bool is_ready = ready->load();
                 return TextHandler::Answer{.ok = is_ready, .text = is_ready ? "ready\n" : "not ready\n"};
               }),
        server_(options) {
    server_.addHandler("/metrics$", metrics_);
    server_.addHandler("/healthz$", health_);
    server_.addHandler("/readyz$", ready_);
  }

  int port() const override { return port_; }
  bool FindPort() {
    const std::vector<int> ports = server_.getListeningPorts();
    if (ports.empty()) return false;
    port_ = ports[0];
    return true;
  }

 private:
  TextHandler metrics_;
  TextHandler health_;
  TextHandler ready_;
  CivetServer server_;  // last: it stops before the handlers go
  int port_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, Metrics* metrics,
                                                              const std::atomic<bool>* ready) {
  // Civetweb knows numbers only.
  std::string numeric = address;
  if (constexpr std::string_view kLocal = "localhost:"; address.rfind(kLocal, 0) == 0) {
    numeric = "127.0.0.1:" + address.substr(kLocal.size());
  }
  const std::vector<std::string> options = {
      "listening_ports", numeric, "num_threads", "2", "request_timeout_ms", "10000", "enable_directory_listing", "no"};
  try {
    auto server = std::make_unique<CivetHttpServer>(options, metrics, ready);
    if (server->FindPort()) return server;
  } catch (const std::exception&) {
    // Its message says only that the server could not be created.
  }
  return absl::UnavailableError(
      absl::StrFormat("metrics_listen \"%s\" cannot be listened on: is the port taken? Another one: --metrics_listen "
                      "HOST:PORT, none: --metrics_listen ''",
                      address));
}

}  // namespace bebr
