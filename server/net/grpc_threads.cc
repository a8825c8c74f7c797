#include "server/net/grpc_threads.h"

#include <dlfcn.h>
#include <grpcpp/generic/async_generic_service.h>
#include <sys/socket.h>

#include <atomic>
#include <utility>

// gRPC has no public way to this (src/core/lib/iomgr/executor.h is not installed): its own answer to this question is
// replaced by ours, which the dynamic linker finds first. Nothing else of gRPC 1.51 asks it. The executor stays, since
// it polls for connections that have more to write than their sockets take.
namespace grpc_core {
class Executor {
 public:
  static bool IsThreadedDefault();
};
bool Executor::IsThreadedDefault() { return false; }
}  // namespace grpc_core

namespace {

thread_local int last_read = -1;     // the socket that this thread has read from last
thread_local size_t read_ahead = 0;  // calls that it has read since it began one

}  // namespace

// The C library's, which the dynamic linker finds here first, for who calls it from another library. gRPC tells nobody
// which connection a call has come from before the call begins.
extern "C" ssize_t recvmsg(int fd, msghdr* message, int flags) {
  using Receive = ssize_t (*)(int, msghdr*, int);
  static std::atomic<Receive> known{nullptr};
  Receive real = known.load(std::memory_order_acquire);
  if (real == nullptr) {
    real = reinterpret_cast<Receive>(dlsym(RTLD_NEXT, "recvmsg"));
    known.store(real, std::memory_order_release);
  }
  last_read = fd;
  return real(fd, message, flags);
}

namespace bebr {

ReadAhead::ReadAhead(size_t most, std::function<void(int fd)> exceeded) : most_(most), exceeded_(std::move(exceeded)) {}

void ReadAhead::Begun() { read_ahead = 0; }

grpc::GenericCallbackServerContext* ReadAhead::NewGenericCallbackServerContext() {
  if (++read_ahead > most_ && last_read >= 0) exceeded_(last_read);
  return new grpc::GenericCallbackServerContext;
}

void ReadAhead::Release(grpc::GenericCallbackServerContext* context) { delete context; }

bool KeepWorkOnItsThread() {
  void* const asked = dlsym(RTLD_DEFAULT, "_ZN9grpc_core8Executor17IsThreadedDefaultEv");
  void* const read = dlsym(RTLD_DEFAULT, "recvmsg");
  return asked != nullptr && asked == reinterpret_cast<void*>(&grpc_core::Executor::IsThreadedDefault) &&
         read == reinterpret_cast<void*>(&recvmsg);
}

}  // namespace bebr
