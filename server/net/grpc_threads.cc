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

thread_local int last_read = -1;  // the socket that this thread has read from last

// What gRPC knows as its first member alone, whose class is final.
struct Call {
  grpc::GenericCallbackServerContext context;
  std::atomic<uint32_t>* waits_among = nullptr;  // until it begins
};

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

ReadAhead::ReadAhead(size_t most, std::function<void(int socket)> exceeded)
    : most_(most), exceeded_(std::move(exceeded)), calls_(1 << 16) {}

void ReadAhead::Begun(grpc::GenericCallbackServerContext* context) {
  std::atomic<uint32_t>* const among = std::exchange(reinterpret_cast<Call*>(context)->waits_among, nullptr);
  if (among != nullptr) among->fetch_sub(1, std::memory_order_relaxed);
}

grpc::GenericCallbackServerContext* ReadAhead::NewGenericCallbackServerContext() {
  Call* const call = new Call;
  if (last_read < 0) return &call->context;  // within the process
  call->waits_among = &calls_[static_cast<size_t>(last_read) % calls_.size()];
  if (call->waits_among->fetch_add(1, std::memory_order_relaxed) >= most_) exceeded_(last_read);
  return &call->context;
}

void ReadAhead::Release(grpc::CallbackServerContext* context) {
  auto* const generic = static_cast<grpc::GenericCallbackServerContext*>(context);
  Begun(generic);  // where it never did
  delete reinterpret_cast<Call*>(generic);
}

bool KeepWorkOnItsThread() {
  void* const asked = dlsym(RTLD_DEFAULT, "_ZN9grpc_core8Executor17IsThreadedDefaultEv");
  void* const read = dlsym(RTLD_DEFAULT, "recvmsg");
  return asked != nullptr && asked == reinterpret_cast<void*>(&grpc_core::Executor::IsThreadedDefault) &&
         read == reinterpret_cast<void*>(&recvmsg);
}

}  // namespace bebr
