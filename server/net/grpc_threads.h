// Which threads do gRPC's work.
#ifndef BEBR_SERVER_NET_GRPC_THREADS_H_
#define BEBR_SERVER_NET_GRPC_THREADS_H_

#include <grpcpp/server_context.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace bebr {

// Links in that who reads from a connection also does what follows from it before reading again. By default gRPC hands
// work of a connection that is held up by other work of it to its executor's threads, whose queues have no bound:
// whoever sends calls faster than they can be refused, and reads no answer, fills the memory with them, whatever
// GRPC_ARG_RESOURCE_QUOTA says. False where this gRPC does not ask, or ReadAhead cannot see what it reads.
bool KeepWorkOnItsThread();

// Bounds the calls that are read from a connection and have not begun: a thread begins none while more comes, and calls
// that are taken back at once are as many as their client likes.
// Thread safety: any. Cost: a few nanoseconds a call.
class ReadAhead final : public grpc::ContextAllocator {
 public:
  // `exceeded` is given the socket from which more than `most` such calls were read, again with each further one, and
  // is to end it. Sockets whose numbers are 65,536 apart count as one.
  ReadAhead(size_t most, std::function<void(int socket)> exceeded);

  // The call begins whose context this is, one of ReadAhead's.
  static void Begun(grpc::GenericCallbackServerContext* context);

  grpc::GenericCallbackServerContext* NewGenericCallbackServerContext() override;
  // Takes generic ones: gRPC gives all of them back as this.
  void Release(grpc::CallbackServerContext* context) override;

 private:
  const size_t most_;
  const std::function<void(int socket)> exceeded_;
  std::vector<std::atomic<uint32_t>> calls_;  // that have not begun, by socket
};

}  // namespace bebr

#endif  // BEBR_SERVER_NET_GRPC_THREADS_H_
