#include "server/rpc/metrics_interceptor.h"

#include <algorithm>
#include <chrono>

namespace bebr {
namespace {

using grpc::experimental::InterceptionHookPoints;

class MetricsInterceptor : public grpc::experimental::Interceptor {
 public:
  explicit MetricsInterceptor(Metrics::Method& method) : method_(method) { method_.started->Increment(); }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE) &&
        methods->GetRecvMessage() != nullptr) {
      method_.received->Increment();
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_MESSAGE)) method_.sent->Increment();
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      Handled(static_cast<size_t>(methods->GetSendStatus().error_code()));
    }
    methods->Proceed();
  }

 private:
  void Handled(size_t code) {
    constexpr size_t kUnknown = 2;
    method_.handled[code < method_.handled.size() ? code : kUnknown]->Increment();
    method_.seconds->Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count());
  }

  Metrics::Method& method_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace

grpc::experimental::Interceptor* MetricsInterceptorFactory::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* info) {
  return new MetricsInterceptor(metrics_->ForMethod(info->method() == nullptr ? "" : info->method()));
}

}  // namespace bebr
