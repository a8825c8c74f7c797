#include "server/net/grpc_threads.h"

#include <dlfcn.h>

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

namespace bebr {

bool KeepWorkOnItsThread() {
  void* const asked = dlsym(RTLD_DEFAULT, "_ZN9grpc_core8Executor17IsThreadedDefaultEv");
  return asked != nullptr && asked == reinterpret_cast<void*>(&grpc_core::Executor::IsThreadedDefault);
}

}  // namespace bebr
