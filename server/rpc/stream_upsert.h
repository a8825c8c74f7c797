// The call that writes a stream of documents.
#ifndef BEBR_SERVER_RPC_STREAM_UPSERT_H_
#define BEBR_SERVER_RPC_STREAM_UPSERT_H_

#include <grpcpp/alarm.h>

#include <deque>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "bebr/v1/documents.pb.h"
#include "index/base/mutex.h"
#include "index/engine.h"
#include "server/call/call.h"
#include "server/call/stream_registry.h"
#include "server/rpc/convert.h"

namespace bebr {

Method StreamUpsertMethod();

// One stream of upserts. Messages are handed to the engine as they come, several at a time, and acknowledged in their
// order. At most upsert_window_messages are unacknowledged; while there are so many nothing is read, and HTTP/2's flow
// control holds the client back. So it does while the rates of the caller's key, or the memory for requests, are used
// up: a stream is slowed down, not refused. The key is checked for every message.
//
// Lifetime: owns itself until gRPC and the engine are both done with it. When the server drains, what was read is
// written and acknowledged, then the stream ends with UNAVAILABLE. Thread safety: gRPC and the engine call it from any
// thread.
class StreamUpsertCall final : public Call, public DrainableStream {
 public:
  static StreamUpsertCall* Start(CallStart start);

 private:
  // A message on its way from arrival to acknowledgement.
  struct Message {
    bool charged = false;  // to the rates of the key
    v1::StreamUpsertRequest request;
    MemoryBudget::Hold hold;
    VectorArena arena;
    v1::StreamUpsertResponse response;
    MemoryBudget::Hold pending;  // what the acknowledgement takes, or will, until it is handed to gRPC
    bool done = false;           // the engine answered; guarded by mutex_
  };

  explicit StreamUpsertCall(CallStart start) : Call(std::move(start)) {}
  void OnMessage() override { EndRead(/*ok=*/true); }
  void OnInputEnd() override { EndRead(/*ok=*/false); }
  void OnWritten(bool ok) override;
  void OnCancelled() override;
  void Release() override { self_.reset(); }
  void Drain() override;

  void EndRead(bool ok);
  // Takes the message that was read, and hands it to the engine; later if something that passes is used up. Every path
  // ends in Acknowledge, and the next message is read after that.
  void Accept(Message* message);
  absl::Status Admit(Message& message);
  absl::Status Check(const v1::StreamUpsertRequest& request);
  void Submit(Message* message);
  void Acknowledge(Message* message, const absl::StatusOr<UpsertResult>& result);
  // Writes the acknowledgement, of which nothing but its bytes is kept.
  void HandOver(Message& message);
  // Starts what the state allows: a write, a read, or the end. Called after every change of the state, in the same
  // critical section, because without the lock and without an operation outstanding another thread may end the call and
  // delete it.
  void AdvanceAndUnlock() ABSL_UNLOCK_FUNCTION(mutex_);
  bool MayFinish() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::shared_ptr<StreamUpsertCall> self_;  // until gRPC is done with it
  std::string name_;                        // of the first message; touched only while a message is accepted
  grpc::Alarm wait_;                        // for what is used up

  Mutex mutex_;
  // In order of arrival; the last may be being read.
  std::deque<std::unique_ptr<Message>> messages_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool input_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // the client is gone: acknowledgements are dropped
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  size_t in_engine_ ABSL_GUARDED_BY(mutex_) = 0;
  // Threads that are about to start an operation; none may start after Finish.
  size_t starting_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_STREAM_UPSERT_H_
