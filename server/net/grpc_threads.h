// Which threads do gRPC's work.
#ifndef BEBR_SERVER_NET_GRPC_THREADS_H_
#define BEBR_SERVER_NET_GRPC_THREADS_H_

#include <grpcpp/server_context.h>

#include <cstddef>
#include <functional>

namespace bebr {

// Links in that who reads from a connection also does what follows from it before reading again. By default gRPC hands
// work of a connection that is held up by other work of it to its executor's threads, whose queues have no bound:
// whoever sends calls faster than they can be refused, and reads no answer, fills the memory with them, whatever
// GRPC_ARG_RESOURCE_QUOTA says. False where this gRPC does not ask, or ReadAhead cannot see what it reads.
bool KeepWorkOnItsThread();

// Bounds the calls that a thread reads from a connection before it begins them: it begins none while more comes, and
// calls that are taken back at once are as many as their client likes.
// Thread safety: any. Cost: a few nanoseconds a call.
class ReadAhead final : public grpc::ContextAllocator {
 public:
  // `exceeded` is given the socket from which the calling thread has read more than `most` calls, again with each
  // further one, and is to end it.
  ReadAhead(size_t most, std::function<void(int fd)> exceeded);

  // The calling thread begins what it has read.
  static void Begun();

  grpc::GenericCallbackServerContext* NewGenericCallbackServerContext() override;
  void Release(grpc::GenericCallbackServerContext* context) override;

 private:
  const size_t most_;
  const std::function<void(int fd)> exceeded_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_NET_GRPC_THREADS_H_
