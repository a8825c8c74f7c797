#include "server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "server/auth.h"
#include "server/credentials.h"
#include "server/http_server.h"
#include "server/metrics.h"
#include "server/rpc/metrics_interceptor.h"
#include "server/rpc/services.h"

namespace bebr {
namespace {

class ServerImpl : public Server {
 public:
  explicit ServerImpl(const ServerConfig& config) : config_(config), blocking_(config.read_threads) {}
  ~ServerImpl() override { Drain(); }

  absl::Status Start() {
    BEBR_ASSIGN_OR_RETURN(authenticator_, Authenticator::Create(config_.keys_file));
    BEBR_ASSIGN_OR_RETURN(credentials_, MakeCredentials(config_));
    if (!config_.metrics_listen.empty()) {
      BEBR_ASSIGN_OR_RETURN(http_, HttpServer::Start(config_.metrics_listen, &metrics_, &ready_));
    }
    BEBR_RETURN_IF_ERROR(OpenEngine());
    BEBR_RETURN_IF_ERROR(Listen());
    grpc_->GetHealthCheckService()->SetServingStatus(true);
    ready_ = true;
    LogInfo("serving: grpc={} metrics={} tls={} keys={}", With(config_.listen, port_),
            http_ == nullptr ? "none" : With(config_.metrics_listen, http_->port()),
            config_.tls_cert_file.empty() ? "no" : "yes", config_.keys_file.empty() ? "no" : "yes");
    return absl::OkStatus();
  }

  void Drain() override {
    if (grpc_ != nullptr) {
      ready_ = false;
      grpc_->GetHealthCheckService()->Shutdown();
      rpc_->streams->Drain();
      grpc_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(config_.drain_timeout_s));
      grpc_.reset();  // waits for the last handler
    }
    metrics_.SetEngine(nullptr);
    engine_.reset();
    http_.reset();
  }

  absl::Status Reload() override { return config_.keys_file.empty() ? absl::OkStatus() : authenticator_->Reload(); }

 private:
  // The address with the port that was given for port 0.
  static std::string With(const std::string& address, int port) {
    return absl::StrFormat("%s:%d", address.substr(0, address.rfind(':')), port);
  }

  absl::Status OpenEngine() {
    const absl::Time start = absl::Now();
    BEBR_ASSIGN_OR_RETURN(engine_, Engine::Open({.data_dir = config_.data_dir,
                                                 .snapshot_dir = config_.snapshot_dir,
                                                 .threads = config_.threads,
                                                 .max_queued_queries = config_.max_queued_queries,
                                                 .max_queued_upsert_bytes = config_.max_queued_upsert_bytes,
                                                 .memory_limit_bytes = config_.memory_limit_bytes}));
    metrics_.SetEngine(engine_.get());
    const EngineStats stats = engine_->Stats();
    LogInfo("opened {}: {} collections in {} ms; simd={} threads={}", config_.data_dir,
            engine_->ListCollections().size(), absl::ToInt64Milliseconds(absl::Now() - start), stats.simd,
            stats.threads);
    return absl::OkStatus();
  }

  absl::Status Listen() {
    rpc_.reset(new RpcContext{.config = config_,
                              .engine = engine_.get(),
                              .metrics = &metrics_,
                              .authenticator = authenticator_.get(),
                              .blocking = &blocking_,
                              .streams = &streams_});
    collections_ = std::make_unique<CollectionServiceImpl>(*rpc_);
    documents_ = std::make_unique<DocumentServiceImpl>(*rpc_);
    search_ = std::make_unique<SearchServiceImpl>(*rpc_);
    admin_ = std::make_unique<AdminServiceImpl>(*rpc_);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    SetLimits(builder);
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
    interceptors.push_back(std::make_unique<MetricsInterceptorFactory>(&metrics_));
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
    builder.AddListeningPort(config_.listen, credentials_, &port_);
    for (grpc::Service* service :
         std::initializer_list<grpc::Service*>{collections_.get(), documents_.get(), search_.get(), admin_.get()}) {
      builder.RegisterService(service);
    }
    grpc_ = builder.BuildAndStart();
    if (grpc_ != nullptr && port_ != 0) return absl::OkStatus();
    return absl::UnavailableError(absl::StrFormat(
        "listen \"%s\" cannot be listened on: is the port taken? Another one: --listen HOST:PORT", config_.listen));
  }

  void SetLimits(grpc::ServerBuilder& builder) {
    constexpr int kMillis = 1000;
    grpc::ResourceQuota quota("bebr");
    quota.Resize(config_.grpc_memory_bytes);
    builder.SetResourceQuota(quota);
    builder.SetMaxReceiveMessageSize(static_cast<int>(config_.max_message_bytes));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(config_.max_concurrent_streams));
    // Another server on the port is an error, not a share of its calls.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    // Dead clients are found and their connections closed; those that ping too often are sent away.
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60 * kMillis);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20 * kMillis);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               static_cast<int>(config_.keepalive_min_interval_s) * kMillis);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  }

  const ServerConfig config_;
  // Closed in Drain, in the reverse order; what has no order of its own goes with the object.
  Metrics metrics_;
  std::atomic<bool> ready_{false};
  std::unique_ptr<Authenticator> authenticator_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;  // gRPC calls back into it, but does not keep it
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Engine> engine_;
  BlockingPool blocking_;
  StreamRegistry streams_;
  std::unique_ptr<RpcContext> rpc_;
  std::unique_ptr<CollectionServiceImpl> collections_;
  std::unique_ptr<DocumentServiceImpl> documents_;
  std::unique_ptr<SearchServiceImpl> search_;
  std::unique_ptr<AdminServiceImpl> admin_;
  std::unique_ptr<grpc::Server> grpc_;
  int port_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config) {
  auto server = std::make_unique<ServerImpl>(config);
  BEBR_RETURN_IF_ERROR(server->Start());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace bebr
