#ifndef BEBR_SERVER_RPC_METRICS_INTERCEPTOR_H_
#define BEBR_SERVER_RPC_METRICS_INTERCEPTOR_H_

#include <grpcpp/support/server_interceptor.h>

#include "server/metrics.h"

namespace bebr {

// Counts every call for the grpc_server_* metrics. `metrics` must outlive the server.
class MetricsInterceptorFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit MetricsInterceptorFactory(Metrics* metrics) : metrics_(metrics) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override;

 private:
  Metrics* const metrics_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_METRICS_INTERCEPTOR_H_
