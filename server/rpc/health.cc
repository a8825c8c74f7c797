// The standard health service, which needs no key: probes have none.
#include "server/rpc/health.h"

#include <google/protobuf/descriptor.h>
#include <grpc/grpc.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "grpc/health/v1/health.pb.h"
#include "server/call/status.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"

namespace bebr {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

bool IsService(const std::string& name) {
  return name.empty() || google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name) != nullptr;
}

HealthCheckResponse::ServingStatus StatusOf(const HealthState& health) {
  return health.serving() ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

// Tells its client of every change until the client goes. The stop of a server closes the connection in the end, but
// does not end the call before: gRPC's clients would begin it again at once, as often as it ended.
//
// Lifetime: owns itself until gRPC is done with it. Thread safety: as Call, and Changed may be called from any thread.
class WatchCall final : public Call, public HealthState::Watcher {
 public:
  static WatchCall* Start(CallStart start, HealthState* health) {
    auto* call = new WatchCall(std::move(start), health);
    call->self_ = std::shared_ptr<WatchCall>(call);
    call->Read();
    return call;
  }
  void Changed() override { Advance(); }
  // Takes the call back: it may wait in a write that its client does not take.
  void MakeRoom() override {
    grpc_call* call = nullptr;
    {
      MutexLock lock(&mutex_);
      if (ended_) return;
      call = RefCall();
    }
    // Without the lock: gRPC may end the call at once on this thread.
    grpc_call_cancel(call, nullptr);
    grpc_call_unref(call);
  }

 private:
  WatchCall(CallStart start, HealthState* health) : Call(std::move(start)), health_(health) {}

  void OnMessage() override {
    HealthCheckRequest request;
    MemoryBudget::Hold hold;
    if (const absl::Status taken = Take(&request, &hold); !taken.ok()) return End(taken);
    known_ = IsService(request.service());
    {
      MutexLock lock(&mutex_);
      begun_ = true;
    }
    health_->Watch(self_);
    Advance();
  }
  void OnInputEnd() override { End(absl::InvalidArgumentError("the call has no message; it has one")); }
  void OnWritten(bool ok) override {
    {
      MutexLock lock(&mutex_);
      writing_ = false;
      gone_ |= !ok;
    }
    Advance();
  }
  void OnCancelled() override {
    {
      MutexLock lock(&mutex_);
      gone_ = true;
    }
    Advance();
  }
  void Release() override { self_.reset(); }

  // Starts a write or the end, where the state asks for one.
  void Advance() {
    HealthCheckResponse response;
    absl::Status end;
    {
      MutexLock lock(&mutex_);
      if (!begun_ || writing_ || ended_) return;
      response.set_status(known_ ? StatusOf(*health_) : HealthCheckResponse::SERVICE_UNKNOWN);
      if (gone_) {
        end = absl::CancelledError("the client ended the call");
      } else if (response.status() == sent_) {
        return;
      }
      ended_ = !end.ok();
      writing_ = end.ok();
      sent_ = response.status();
    }
    if (end.ok()) {
      Write(response);
    } else {
      End(end);
    }
  }

  std::shared_ptr<WatchCall> self_;
  HealthState* const health_;
  bool known_ = true;  // set before begun_

  Mutex mutex_;
  std::optional<HealthCheckResponse::ServingStatus> sent_ ABSL_GUARDED_BY(mutex_);
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

bool HealthState::serving() const {
  MutexLock lock(&mutex_);
  return serving_;
}

void HealthState::SetServing(bool serving) {
  std::vector<std::shared_ptr<Watcher>> told;
  {
    MutexLock lock(&mutex_);
    serving_ = serving;
    for (const auto& known : watchers_) {
      if (auto watcher = known.lock()) told.push_back(std::move(watcher));
    }
  }
  for (const auto& watcher : told) watcher->Changed();
}

void HealthState::Watch(const std::shared_ptr<Watcher>& watcher) {
  std::shared_ptr<Watcher> oldest;
  {
    MutexLock lock(&mutex_);
    std::erase_if(watchers_, [](const auto& known) { return known.expired(); });
    if (watchers_.size() >= kMostWatchers) {
      oldest = watchers_.front().lock();
      watchers_.erase(watchers_.begin());
    }
    watchers_.push_back(watcher);
  }
  if (oldest != nullptr) oldest->MakeRoom();
}

std::vector<Method> HealthMethods(HealthState* health) {
  auto check = [health](RpcContext&, UnaryCall<HealthCheckRequest, HealthCheckResponse>& call) {
    if (!IsService(call.request().service())) {
      return call.Done(absl::NotFoundError(
          absl::StrFormat("this server has no service \"%s\"", ShortText(call.request().service(), 128))));
    }
    call.response().set_status(StatusOf(*health));
    call.Done(absl::OkStatus());
  };
  Method watch = MethodOf<HealthCheckRequest, HealthCheckResponse>("/grpc.health.v1.Health/Watch", std::nullopt);
  watch.server_streams = true;
  watch.while_stopping = true;
  watch.make = [health](CallStart start) -> Call* { return WatchCall::Start(std::move(start), health); };
  Method checks =
      Unary<HealthCheckRequest, HealthCheckResponse>("/grpc.health.v1.Health/Check", std::nullopt, OfNone, check);
  checks.while_stopping = true;
  return {checks, watch};
}

}  // namespace bebr
