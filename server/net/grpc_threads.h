// Which threads do gRPC's work.
#ifndef BEBR_SERVER_NET_GRPC_THREADS_H_
#define BEBR_SERVER_NET_GRPC_THREADS_H_

namespace bebr {

// As long as it lives, gRPC is there, and who reads from a connection also does what follows from it before reading
// again. By default gRPC hands that on to the threads of its executor, whose queues have no bound: whoever sends calls
// faster than they can be refused, and reads no answer, fills the memory with them, whatever GRPC_ARG_RESOURCE_QUOTA
// says. Thread safety: none.
class GrpcThreads {
 public:
  GrpcThreads();
  GrpcThreads(const GrpcThreads&) = delete;
  GrpcThreads& operator=(const GrpcThreads&) = delete;
  ~GrpcThreads();
};

}  // namespace bebr

#endif  // BEBR_SERVER_NET_GRPC_THREADS_H_
