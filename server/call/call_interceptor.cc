#include "server/call/call_interceptor.h"

#include <chrono>
#include <utility>

#include "index/base/logging.h"
#include "server/call/call_context.h"

namespace bebr {
namespace {

using grpc::experimental::InterceptionHookPoints;

// Whether a status means that something is wrong with the server, not with the call or the load.
bool IsServerError(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNKNOWN || code == grpc::StatusCode::INTERNAL ||
         code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DATA_LOSS;
}

class CallInterceptor : public grpc::experimental::Interceptor {
 public:
  CallInterceptor(grpc::experimental::ServerRpcInfo* info, Metrics::Method& counters, ResponseWatch& responses)
      : path_(info->method() == nullptr ? "" : info->method()),
        context_(info->server_context()),
        call_(dynamic_cast<CallContext*>(context_)),
        counters_(counters),
        responses_(responses) {
    counters_.started->Increment();
  }
  ~CallInterceptor() override { responses_.End(context_); }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    const auto at = [&](InterceptionHookPoints point) { return methods->QueryInterceptionHookPoint(point); };
    if (at(InterceptionHookPoints::POST_RECV_INITIAL_METADATA) && call_ != nullptr &&
        methods->GetRecvInitialMetadata() != nullptr) {
      call_->ids = ReadCallIds(*methods->GetRecvInitialMetadata());
    }
    if (at(InterceptionHookPoints::POST_RECV_MESSAGE) && methods->GetRecvMessage() != nullptr) {
      counters_.received->Increment();
    }
    if (at(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA) && call_ != nullptr) {
      methods->GetSendInitialMetadata()->emplace("x-request-id", call_->ids.request_id);
      methods->GetSendInitialMetadata()->emplace("traceparent", call_->ids.traceparent);
    }
    if (at(InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      counters_.sent->Increment();
      if (const grpc::ByteBuffer* message = methods->GetSerializedSendMessage()) sent_bytes_ = message->Length();
      if (call_ != nullptr && call_->when_serialized != nullptr) std::exchange(call_->when_serialized, nullptr)();
    }
    if (at(InterceptionHookPoints::PRE_SEND_STATUS)) Handled(methods->GetSendStatus());
    methods->Proceed();
  }

 private:
  void Handled(const grpc::Status& status) {
    constexpr size_t kUnknown = 2;
    const auto code = static_cast<size_t>(status.error_code());
    counters_.handled[code < counters_.handled.size() ? code : kUnknown]->Increment();
    counters_.seconds->Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count());
    responses_.Begin(context_, sent_bytes_);
    if (call_ == nullptr || !IsServerError(status.error_code())) return;
    LogEvent(LogLevel::kWarning, "call_failed",
             {{"method", path_},
              {"code", static_cast<int64_t>(code)},
              {"error", status.error_message()},
              {"request_id", call_->ids.request_id},
              {"trace_id", call_->ids.trace_id()}});
  }

  const char* const path_;
  grpc::ServerContextBase* const context_;
  CallContext* const call_;  // null for calls that are not of the API
  Metrics::Method& counters_;
  ResponseWatch& responses_;
  uint64_t sent_bytes_ = 0;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace

grpc::experimental::Interceptor* CallInterceptorFactory::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* info) {
  return new CallInterceptor(info, metrics_->ForMethod(info->method() == nullptr ? "" : info->method()), *responses_);
}

}  // namespace bebr
