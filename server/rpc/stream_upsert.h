#ifndef BEBR_SERVER_RPC_STREAM_UPSERT_H_
#define BEBR_SERVER_RPC_STREAM_UPSERT_H_

#include <grpcpp/alarm.h>

#include <deque>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "bebr/v1/documents.grpc.pb.h"
#include "index/base/mutex.h"
#include "server/call/rpc_context.h"
#include "server/rpc/convert.h"

namespace bebr {

// One stream of upserts. Messages are handed to the engine as they come, several at a time, and acknowledged in their
// order. At most upsert_window_messages are unacknowledged; while there are so many nothing is read, and HTTP/2's flow
// control holds the client back. So it does while the rates of the caller's key are used up: a stream is slowed down,
// not refused. The key is checked for every message.
//
// Lifetime: owns itself until gRPC and the engine are both done with it. When the server drains, what was read is
// written and acknowledged, then the stream ends with UNAVAILABLE. Thread safety: gRPC and the engine call it from any
// thread.
class StreamUpsertCall : public grpc::ServerBidiReactor<v1::StreamUpsertRequest, v1::StreamUpsertResponse>,
                         public DrainableStream {
 public:
  static StreamUpsertCall* Start(RpcContext& rpc, const grpc::CallbackServerContext& context);

 private:
  // A message on its way from arrival to acknowledgement.
  struct Message {
    v1::StreamUpsertRequest request;
    VectorArena arena;
    v1::StreamUpsertResponse response;
    bool done = false;  // the engine answered; guarded by mutex_
  };

  StreamUpsertCall(RpcContext& rpc, const grpc::CallbackServerContext& context) : rpc_(rpc), context_(context) {}
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void Drain() override;
  // Checks a message and hands it to the engine, later if the rates of its key are used up; every path ends in
  // Acknowledge, and the next message is read after that.
  void Take(Message* message);
  void Submit(Message* message);
  absl::Status Check(const Message& message);
  void Acknowledge(Message* message, const absl::StatusOr<UpsertResult>& result);
  // Starts what the state allows: a write, a read, or the end. Called after every change of the state, in the same
  // critical section, because without the lock and without an operation outstanding another thread may end the call and
  // delete it.
  void AdvanceAndUnlock() ABSL_UNLOCK_FUNCTION(mutex_);
  bool MayFinish() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::shared_ptr<StreamUpsertCall> self_;  // until gRPC is done with it
  RpcContext& rpc_;
  const grpc::CallbackServerContext& context_;
  // Of the first message, and what it stands for; touched only while a message is checked.
  std::string name_;
  std::string collection_;
  grpc::Alarm wait_;  // for the rates

  Mutex mutex_;
  std::deque<std::unique_ptr<Message>> messages_
      ABSL_GUARDED_BY(mutex_);  // in order of arrival; the last may be being read
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool input_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // the client is gone: acknowledgements are dropped
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  size_t in_engine_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t starting_ ABSL_GUARDED_BY(mutex_) =
      0;  // threads that are about to start an operation; none may start after Finish
};

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_STREAM_UPSERT_H_
