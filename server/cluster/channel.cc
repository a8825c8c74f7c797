#include "server/cluster/channel.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr absl::Duration kLookForGone = absl::Milliseconds(20);
// A node that does not answer pings is known to be gone; nodes take one each keepalive_min_interval_s.
constexpr int kPingMs = 30 * 1000;
constexpr int kPingTimeoutMs = 10 * 1000;
constexpr int kFirstBackoffMs = 100;
constexpr int kMaxBackoffMs =
    500;  // between attempts to connect, which a node may need when it is the last of its share
// An attempt whose packets are lost ends, so that the next one is made soon after a network is back.
constexpr int kConnectMs = 3 * 1000;

absl::Status Read(const char* option, const std::string& file, std::string& out) {
  if (file.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> text = ReadFile(file);
  if (!text.ok()) return absl::InvalidArgumentError(absl::StrCat(option, " ", text.status().message()));
  out = *std::move(text);
  return absl::OkStatus();
}

bool AllGone(const Callers& callers) {
  return !callers.empty() &&
         std::all_of(callers.begin(), callers.end(), [](const auto& gone) { return gone != nullptr && *gone; });
}

}  // namespace

absl::StatusOr<NodeCredentials> ReadNodeCredentials(const ServerConfig& config) {
  NodeCredentials credentials{.channel = grpc::InsecureChannelCredentials(),
                              .timeout = absl::Seconds(config.cluster_timeout_s)};
  BEBR_RETURN_IF_ERROR(Read("cluster_key_file", config.cluster_key_file, credentials.key));
  credentials.key = std::string(absl::StripAsciiWhitespace(credentials.key));
  if (!config.cluster_key_file.empty() && credentials.key.empty())
    return absl::InvalidArgumentError(
        absl::StrCat("cluster_key_file \"", config.cluster_key_file, "\" is empty; it holds the key"));
  if (config.cluster_ca_file.empty()) return credentials;
  grpc::SslCredentialsOptions ssl;
  BEBR_RETURN_IF_ERROR(Read("cluster_ca_file", config.cluster_ca_file, ssl.pem_root_certs));
  BEBR_RETURN_IF_ERROR(Read("tls_cert_file", config.tls_cert_file, ssl.pem_cert_chain));
  BEBR_RETURN_IF_ERROR(Read("tls_key_file", config.tls_key_file, ssl.pem_private_key));
  credentials.channel = grpc::SslCredentials(ssl);
  return credentials;
}

std::shared_ptr<grpc::Channel> ConnectTo(const NodePlace& place, const NodeCredentials& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // the nodes limit what they send
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstBackoffMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxBackoffMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);  // gRPC's name for the time of an attempt
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(place.address, credentials.channel, arguments);
}

Canceller::Canceller() : thread_([this] { Run(); }) {}

Canceller::~Canceller() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

std::list<Canceller::Watched>::iterator Canceller::Watch(grpc::ClientContext* context, Callers callers) {
  MutexLock lock(&mutex_);
  if (idle_) changed_.NotifyAll();
  return calls_.emplace(calls_.end(), context, std::move(callers));
}

void Canceller::Forget(std::list<Watched>::iterator call) {
  MutexLock lock(&mutex_);
  calls_.erase(call);
}

Canceller::Ticks::iterator Canceller::AddTick(std::function<void()> tick) {
  MutexLock lock(&ticks_mutex_);
  return ticks_.insert(ticks_.end(), std::move(tick));
}

void Canceller::RemoveTick(Ticks::iterator tick) {
  MutexLock lock(&ticks_mutex_);
  ticks_.erase(tick);
}

void Canceller::Run() {
  for (;;) {
    {
      MutexLock lock(&mutex_);
      idle_ = calls_.empty();
      while (calls_.empty() && !ending_) changed_.Wait(&mutex_);
      idle_ = false;
      if (!ending_) changed_.WaitFor(&mutex_, kLookForGone);
      if (ending_) return;
      for (const auto& [context, callers] : calls_) {
        if (AllGone(callers)) context->TryCancel();
      }
    }
    MutexLock lock(&ticks_mutex_);
    for (const auto& tick : ticks_) tick();
  }
}

}  // namespace bebr
