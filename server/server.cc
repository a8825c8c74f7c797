#include "server/server.h"

#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/clock.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "index/follow/follower.h"
#include "index/follow/follower_state.h"
#include "index/gateway_engine.h"
#include "server/access/auth.h"
#include "server/call/door.h"
#include "server/call/hidden_paths.h"
#include "server/call/response_watch.h"
#include "server/call/rpc_context.h"
#include "server/cluster/cluster_log.h"
#include "server/cluster/gateway_engine.h"
#include "server/cluster/node_data.h"
#include "server/config/cluster_nodes.h"
#include "server/config/config.h"
#include "server/config/live_limits.h"
#include "server/engine_options.h"
#include "server/http/gateway.h"
#include "server/metrics/metrics.h"
#include "server/net/credentials.h"
#include "server/net/grpc_threads.h"
#include "server/net/http_server.h"
#include "server/net/listener.h"
#include "server/net/steady_waits.h"
#include "server/private_directory.h"
#include "server/readiness.h"
#include "server/rpc/health.h"
#include "server/rpc/methods.h"
#include "server/trace/tracer.h"

namespace bebr {
namespace {

// Calls that end within this time end unseen: only then are clients told to go elsewhere.
constexpr absl::Duration kNotice = absl::Seconds(1);
constexpr absl::Duration kLookInterval = absl::Milliseconds(20);
// Calls that a connection may have begun and that have not ended, for each that HTTP/2 lets it have: one ends a moment
// after its client knows.
constexpr size_t kCallsPerStream = 2;
// Of strangers, who are held by their bytes too: as many as a client with a key that is no longer good makes at once.
constexpr size_t kStrangerCalls = 128;
constexpr size_t kMostStrangerCalls = 1024;

CallLimits CallLimitsOf(const ServerConfig& config) {
  const size_t streams = config.max_concurrent_streams, known = kCallsPerStream * streams;
  return {.known = known, .stranger = std::min(known, std::max(kStrangerCalls, std::min(streams, kMostStrangerCalls)))};
}

// gRPC begins all calls that it has read before it hands on the first of them.
constexpr int kReadBytes = 32 << 10;
// Clients have so long to take what was written to them, once all calls have ended.
constexpr absl::Duration kLastBytes = absl::Seconds(5);
// The engine's end may take so long beyond drain_timeout_s; the process is killed ten seconds later (deploy/README.md).
constexpr absl::Duration kClosing = absl::Seconds(10);

class ServerImpl : public Server {
 public:
  explicit ServerImpl(const ServerConfig& config)
      : config_(config),
        limits_(config),
        responses_(limits_.response_timeout_s, limits_.max_pending_response_bytes, &metrics_),
        blocking_(config.read_threads) {
    metrics_.SetOptions(config_);
  }
  ~ServerImpl() override { Drain(); }

  absl::Status Start() {
    BEBR_ASSIGN_OR_RETURN(authenticator_, Authenticator::Create(config_.keys_file, &metrics_));
    BEBR_ASSIGN_OR_RETURN(credentials_, MakeCredentials(config_, &metrics_));
    if (!config_.metrics_listen.empty()) {
      BEBR_ASSIGN_OR_RETURN(
          http_, HttpServer::Start(config_.metrics_listen, &metrics_, [this] { return readiness_.Answer(); }));
    }
    if (!config_.otlp_endpoint.empty()) {
      BEBR_ASSIGN_OR_RETURN(tracer_, Tracer::Create(config_, limits_.otlp_sample_percent, &metrics_));
    }
    BEBR_RETURN_IF_ERROR(OpenEngine());
    BEBR_RETURN_IF_ERROR(Listen());
    if (cluster_ == nullptr) SetReady(true);
    if (cluster_ != nullptr) await_catalogue_ = std::thread([this] { AwaitCatalogue(); });
    LogInfo("serving: grpc={} metrics={} http={} tls={} keys={}", With(config_.listen, listener_->port()),
            http_ == nullptr ? "none" : With(config_.metrics_listen, http_->port()),
            gateway_ == nullptr ? "none" : With(config_.http_listen, gateway_->port()),
            config_.tls_cert_file.empty() ? "no" : "yes", config_.keys_file.empty() ? "no" : "yes");
    return absl::OkStatus();
  }

  void Drain() override {
    const SteadyTime end = SteadyNow() + absl::Seconds(limits_.drain_timeout_s.load()) + kClosing;
    draining_ = true;
    if (await_catalogue_.joinable()) await_catalogue_.join();
    if (grpc_ != nullptr) {
      SetReady(false);
      listener_->Stop();
      rpc_->gate.Close();
      engine_->EndBy(end);  // a call, or the log's follower, may be waiting for disk space of what was dropped
      if (gateway_ != nullptr) gateway_->Drain();
      rpc_->streams->Drain();
      AwaitCalls(SteadyNow() + absl::Seconds(limits_.drain_timeout_s.load()));
      // First the connections: a call that comes now, or one whose time is over, fails as UNAVAILABLE at its client.
      // gRPC would tell it that it was cancelled, and wait for clients that look at their connections now and then.
      const SteadyTime last = SteadyNow() + kLastBytes;
      listener_->CloseAll([&] { return SteadyNow() < last && !rpc_->gate.hurried(); });
      if (shutdown_.joinable()) {
        shutdown_.join();
      } else {
        ShutDownGrpc(absl::ZeroDuration());
      }
      gateway_.reset();  // waits for the calls that it passed on
      grpc_.reset();     // waits for the last handler
      LogInfo("calls refused while the server stopped: {}", rpc_->gate.refused());
    }
    tracer_.reset();
    readiness_.SetEngine(nullptr);
    metrics_.SetEngine(nullptr);
    follower_.reset();
    if (engine_ != nullptr) engine_->EndBy(rpc_ != nullptr && rpc_->gate.hurried() ? SteadyNow() : end);
    engine_.reset();
    http_.reset();
  }

  void Hurry() override { rpc_->gate.Hurry(); }

  void Reload(const absl::StatusOr<ServerConfig>& config) override {
    metrics_.Reloaded(Reloadable::kConfiguration, config.ok());
    if (config.ok()) {
      TakeOver(*config);
    } else {
      LogError("the configuration stays as it was: {}", std::string(config.status().message()));
    }
    if (!config_.keys_file.empty()) ReloadKeys();
  }

 private:
  // Until the calls that are in flight have ended, or `end`.
  void AwaitCalls(SteadyTime end) {
    if (rpc_->gate.AwaitEmpty(std::min(kNotice, end - SteadyNow()))) return;
    const auto has_call = [this](std::string_view peer) { return rpc_->gate.Inside(peer); };
    do {
      listener_->CloseFree(has_call);
      // Sends GOAWAY where calls are in flight and waits for these; CloseAll ends those that take too long. Not
      // earlier, and only there: gRPC cancels what arrives at this very moment. A GOAWAY ends calls over HTTP, as they
      // come from this process.
      const bool over_http = gateway_ != nullptr && !gateway_->idle();
      if (!shutdown_.joinable() && !over_http)
        shutdown_ = std::thread([this, most = end - SteadyNow() + 2 * kLastBytes] { ShutDownGrpc(most); });
    } while (!rpc_->gate.AwaitEmpty(kLookInterval) && SteadyNow() < end && !rpc_->gate.hurried());
  }
  void ShutDownGrpc(absl::Duration most) {
    grpc_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoSeconds(most));
  }

  // What may change while it runs; of the rest the log says that it takes a restart.
  void TakeOver(const ServerConfig& config) {
    const OptionChanges from_start = ChangedOptions(config_, config);
    for (const std::string& name : from_start.at_restart) LogWarning("{} has changed, which takes a restart", name);
    const ServerConfig in_use = WithLiveOptions(config_, config);
    SetLogLevel(in_use.log_level);
    limits_.Set(in_use);
    engine_->SetLimits(EngineOptionsOf(in_use));
    metrics_.SetOptions(in_use);
    LogInfo("configuration read again; other than at the start: {}",
            from_start.live.empty() ? "nothing" : absl::StrJoin(from_start.live, ", "));
  }

  void ReloadKeys() {
    const absl::Status reloaded = authenticator_->Reload();
    metrics_.Reloaded(Reloadable::kKeys, reloaded.ok());
    if (reloaded.ok()) {
      LogInfo("keys read again");
    } else {
      LogError("keys stay as they were: {}", std::string(reloaded.message()));
    }
  }

  // The address with the port that was given for port 0.
  static std::string With(const std::string& address, int port) {
    return absl::StrFormat("%s:%d", address.substr(0, address.rfind(':')), port);
  }

  void SetReady(bool ready) {
    readiness_.SetReady(ready);
    health_.SetServing(ready);
    metrics_.ready().Set(ready ? 1 : 0);
  }

  // Of a gateway, which can do nothing before it knows the collections.
  void AwaitCatalogue() {
    for (absl::Status told; !draining_; absl::SleepFor(kLookInterval)) {
      const absl::Status ready = cluster_->Ready();
      if (ready.ok()) return SetReady(true);
      if (ready != told) LogWarning("not ready: {}", std::string(ready.message()));
      told = ready;
    }
  }

  absl::Status OpenEngine() {
    if (config_.is_gateway()) return OpenNodes();
    HidePaths({config_.data_dir, config_.snapshot_dir});
    BEBR_RETURN_IF_ERROR(MakePrivateDirectory("data_dir", config_.data_dir));
    BEBR_RETURN_IF_ERROR(FindSelf());
    BEBR_RETURN_IF_ERROR(CheckNodeData(config_.data_dir, self_.has_value() ? &*self_ : nullptr));
    if (!config_.snapshot_dir.empty()) BEBR_RETURN_IF_ERROR(MakePrivateDirectory("snapshot_dir", config_.snapshot_dir));
    const absl::Time start = absl::Now();
    BEBR_RETURN_IF_ERROR(OpenOwn());
    metrics_.SetEngine(engine_.get());
    if (follower_ != nullptr) metrics_.SetReplica(self_->name, [this] { return follower_->State(); });
    readiness_.SetEngine(engine_.get(), follower_.get());
    const EngineStats stats = engine_->Stats();
    LogInfo("opened {}: {} collections in {} ms; simd={} threads={}", config_.data_dir,
            engine_->ListCollections().size(), absl::ToInt64Milliseconds(absl::Now() - start), stats.simd,
            stats.threads);
    return absl::OkStatus();
  }

  // The engine of the data directory.
  absl::Status OpenOwn() {
    if (!config_.cluster_log.empty()) {
      BEBR_ASSIGN_OR_RETURN(auto following, OpenFollowing(config_, EngineOptionsOf(config_), *self_, &metrics_));
      engine_ = std::move(following.engine);
      follower_ = std::move(following.follower);
      return absl::OkStatus();
    }
    BEBR_ASSIGN_OR_RETURN(const auto state, ReadFollowerState(config_.data_dir));
    if (state.has_value()) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "data_dir \"%s\" is that of a node that follows a log; set cluster_log as it was", config_.data_dir));
    }
    BEBR_ASSIGN_OR_RETURN(engine_, Engine::Open(EngineOptionsOf(config_)));
    return absl::OkStatus();
  }

  // The place of a node of a cluster.
  absl::Status FindSelf() {
    if (!config_.is_node()) return absl::OkStatus();
    BEBR_ASSIGN_OR_RETURN(const auto nodes, ParseClusterNodes(config_.cluster_nodes, !config_.cluster_log.empty()));
    self_ = FindNode(nodes, config_.cluster_self);
    if (self_.has_value()) return absl::OkStatus();
    return absl::InvalidArgumentError("cluster_self is no node of cluster_nodes");
  }

  // As a gateway has them.
  absl::Status OpenNodes() {
    BEBR_ASSIGN_OR_RETURN(OpenedGateway gateway, OpenGateway(config_, &metrics_));
    cluster_ = gateway.engine.get();
    membership_ = gateway.membership;
    engine_ = std::move(gateway.engine);
    metrics_.SetGateway(cluster_);
    readiness_.SetEngine(engine_.get(), nullptr, cluster_);
    LogInfo("gateway over the nodes {}", config_.cluster_nodes);
    return absl::OkStatus();
  }

  // max_connections, less where that would leave too few descriptors for files: a store may have hundreds open.
  size_t MaxConnections() const {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const uint64_t most = std::max<uint64_t>(limit.rlim_cur / 2, 1);
    if (config_.max_connections > most) {
      LogWarning("max_connections is {} but only {} descriptors may be open: {} connections are accepted",
                 config_.max_connections, limit.rlim_cur, most);
    }
    return std::min(config_.max_connections, most);
  }

  absl::Status Listen() {
    BEBR_ASSIGN_OR_RETURN(listener_,
                          Listener::Create(config_.listen, MaxConnections(), CallLimitsOf(config_), &metrics_));
    rpc_.reset(new RpcContext{.config = config_,
                              .limits = limits_,
                              .engine = engine_.get(),
                              .metrics = &metrics_,
                              .authenticator = authenticator_.get(),
                              .blocking = &blocking_,
                              .streams = &streams_,
                              .responses = &responses_,
                              .tracer = tracer_.get(),
                              .follower = follower_.get(),
                              .cluster = cluster_,
                              .membership = membership_,
                              .known = [this](std::string_view peer) { listener_->Known(peer); },
                              .greeted = [this](std::string_view peer) { listener_->Greeted(peer); },
                              .begun = [this](auto* context, std::string_view peer) { Begun(context, peer); },
                              .ended = [this](std::string_view peer) { listener_->Ended(peer); }});
    door_ = std::make_unique<Door>(*rpc_, AllMethods(&health_, self_.has_value() ? &*self_ : nullptr), ApiLimits());
    if (!KeepWorkOnItsThread())
      LogWarning(
          "this gRPC hands calls on between its threads without a bound: strangers can fill the memory with calls");
    if (!KeepWaitsSteady())
      LogWarning("this Abseil waits until a time of day: setting the clock back delays all deadlines");
    grpc::ServerBuilder builder;
    SetLimits(builder);
    acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials_);
    builder.SetContextAllocator(
        std::make_unique<ReadAhead>(CallLimitsOf(config_).known, [this](int fd) { listener_->ReadAhead(fd); }));
    builder.RegisterCallbackGenericService(door_.get());
    grpc_ = builder.BuildAndStart();
    if (grpc_ == nullptr) return absl::UnavailableError("gRPC cannot start; its message is above");
    listener_->Start([this](int fd) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
      connection.fd = fd;
      acceptor_->HandleNewConnection(&connection);
    });
    return config_.http_listen.empty() ? absl::OkStatus() : StartGateway();
  }

  void Begun(grpc::GenericCallbackServerContext* context, std::string_view peer) {
    ReadAhead::Begun(context);
    listener_->Begun(peer);
  }

  absl::Status StartGateway() {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);  // the server's own limits count
    BEBR_ASSIGN_OR_RETURN(gateway_, Gateway::Start(*rpc_, *door_, grpc_->InProcessChannel(arguments),
                                                   [this] { return metrics_.SerializeTimes(); }));
    return absl::OkStatus();
  }

  void SetLimits(grpc::ServerBuilder& builder) {
    constexpr int kMillis = 1000;
    constexpr uint64_t kMaxIdle = std::numeric_limits<int>::max() / kMillis;
    grpc::ResourceQuota quota("bebr");
    quota.Resize(config_.grpc_memory_bytes);
    builder.SetResourceQuota(quota);
    builder.SetMaxReceiveMessageSize(static_cast<int>(config_.max_message_bytes));
    // A thousand times its bytes can come out of a compressed message, and gRPC does not look at the limit again.
    for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP})
      builder.SetCompressionAlgorithmSupportStatus(algorithm, false);
    builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReadBytes);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(config_.max_concurrent_streams));
    // Dead clients are found and their connections closed; those that ping too often are sent away.
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60 * kMillis);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20 * kMillis);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               static_cast<int>(config_.keepalive_min_interval_s) * kMillis);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                               static_cast<int>(config_.handshake_timeout_s) * kMillis);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                               static_cast<int>(std::min(config_.idle_connection_timeout_s, kMaxIdle)) * kMillis);
  }

  const ServerConfig config_;  // as at the start
  LiveLimits limits_;
  // Closed in Drain, in the reverse order; what has no order of its own goes with the object.
  Metrics metrics_;
  Readiness readiness_;
  std::unique_ptr<Authenticator> authenticator_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;  // gRPC calls back into it, but does not keep it
  std::unique_ptr<HttpServer> http_;
  std::optional<NodePlace> self_;  // of a node of a cluster
  std::unique_ptr<Engine> engine_;
  GatewayEngine* cluster_ = nullptr;    // that engine, of a gateway
  std::unique_ptr<Follower> follower_;  // of a node that follows a log
  Membership* membership_ = nullptr;    // of a gateway with a log: the engine's
  std::unique_ptr<Tracer> tracer_;
  StreamRegistry streams_;
  ResponseWatch responses_;
  std::unique_ptr<RpcContext> rpc_;
  BlockingPool blocking_;  // ends before the context, whose budget its threads give back to
  HealthState health_;
  std::unique_ptr<Door> door_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> grpc_;
  std::atomic<bool> draining_{false};
  std::thread await_catalogue_;  // sets a gateway ready
  std::thread shutdown_;         // of grpc_, once it has begun while calls were in flight
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<Listener> listener_;  // stops before what it hands connections to
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config) {
  auto server = std::make_unique<ServerImpl>(config);
  BEBR_RETURN_IF_ERROR(server->Start());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace bebr
