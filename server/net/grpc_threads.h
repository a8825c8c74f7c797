// Which threads do gRPC's work.
#ifndef BEBR_SERVER_NET_GRPC_THREADS_H_
#define BEBR_SERVER_NET_GRPC_THREADS_H_

namespace bebr {

// Links in that who reads from a connection also does what follows from it before reading again. By default gRPC hands
// work of a connection that is held up by other work of it to its executor's threads, whose queues have no bound:
// whoever sends calls faster than they can be refused, and reads no answer, fills the memory with them, whatever
// GRPC_ARG_RESOURCE_QUOTA says. False, and nothing is changed, where this gRPC does not ask.
bool KeepWorkOnItsThread();

}  // namespace bebr

#endif  // BEBR_SERVER_NET_GRPC_THREADS_H_
