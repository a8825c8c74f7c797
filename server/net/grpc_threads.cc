#include "server/net/grpc_threads.h"

#include <grpc/grpc.h>

// gRPC has no public way to this: its own (src/core/lib/iomgr/executor.h, not installed) is what it calls around a
// fork. Another gRPC that lacks it does not link.
namespace grpc_core {
class Executor {
 public:
  static void SetThreadingDefault(bool enable);
};
}  // namespace grpc_core

namespace bebr {

GrpcThreads::GrpcThreads() {
  grpc_init();
  grpc_core::Executor::SetThreadingDefault(false);
}

GrpcThreads::~GrpcThreads() { grpc_shutdown(); }

}  // namespace bebr
