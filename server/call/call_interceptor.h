#ifndef BEBR_SERVER_CALL_CALL_INTERCEPTOR_H_
#define BEBR_SERVER_CALL_CALL_INTERCEPTOR_H_

#include <grpcpp/support/server_interceptor.h>

#include "server/call/response_watch.h"
#include "server/metrics/metrics.h"

namespace bebr {

// Does for every call what is the same for all: counts it for the grpc_server_* metrics, gives it its ids and returns
// them to the client, logs errors of the server, and watches that its answer is taken. Both arguments must outlive the
// server.
class CallInterceptorFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  CallInterceptorFactory(Metrics* metrics, ResponseWatch* responses) : metrics_(metrics), responses_(responses) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override;

 private:
  Metrics* const metrics_;
  ResponseWatch* const responses_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_CALL_INTERCEPTOR_H_
