// gRPC's own log lines, in ours.
#ifndef BEBR_SERVER_NET_GRPC_LOG_H_
#define BEBR_SERVER_NET_GRPC_LOG_H_

namespace bebr {

// gRPC's own lines go into the log of index/base/logging.h from now on, which holds nobody up: errors as warnings,
// since most are of connections, the rest as debug. What there is besides errors is decided by gRPC's variable
// GRPC_VERBOSITY. Whoever reaches the port makes errors by what it sends: of more than 100 a second only the number is
// told.
void LogGrpcLines();

}  // namespace bebr

#endif  // BEBR_SERVER_NET_GRPC_LOG_H_
