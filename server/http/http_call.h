// One call that came over HTTP.
#ifndef BEBR_SERVER_HTTP_HTTP_CALL_H_
#define BEBR_SERVER_HTTP_HTTP_CALL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/base/thread_pool.h"
#include "server/call/gate.h"
#include "server/call/memory_budget.h"
#include "server/call/method.h"
#include "server/call/rpc_context.h"
#include "server/http/connect.h"
#include "server/http/http_answer.h"

namespace bebr {

// What all calls over HTTP share. Ownership: the gateway's; outlives them.
struct HttpCalls {
  RpcContext& rpc;
  grpc::GenericStub stub;  // of the server's own channel
  ThreadPool pool;         // turns JSON into messages and back
  // Of calls that are being begun. Closed when the server's gRPC side is about to stop: it may not be called
  // afterwards, which ends the process in gRPC 1.51.
  Gate gate;
};

// What the headers of a request say. Header values that gRPC could not carry count as not there.
struct HttpHeaders {
  std::string peer;  // in gRPC's words, "ipv4:192.0.2.7:43210"
  std::string authorization, request_id, traceparent;
  BodyFormat format = BodyFormat::kJson;
  absl::Duration timeout = absl::InfiniteDuration();

  std::string_view key() const;  // of the authorization; empty: none
};

// An HttpCall hands a request on to the server's own gRPC side and takes its answer, so that keys, limits, metrics, the
// audit and the handlers are the same for both.
//
//   HttpCall call(calls, method, caller, headers);
//   Append(...);                      // until the body is whole
//   call.Run([&] { use call.answer() });
//
// Thread safety: one thread at a time; `done` of Run runs on another one. Memory: what the body takes, five times over,
// is held of the budget of parsed requests until the answer is there; the answer is counted as one that waits for its
// client, of JSON from before it is made.
class HttpCall {
 public:
  // `caller`: as the door knows it.
  HttpCall(HttpCalls& calls, const Method& method, Identity caller, HttpHeaders headers);
  HttpCall(const HttpCall&) = delete;
  HttpCall& operator=(const HttpCall&) = delete;

  // The bytes of a body, of a call that needs no key.
  static constexpr uint64_t kMaxKeylessBytes = 4096;

  // RESOURCE_EXHAUSTED if the body becomes larger than max_message_bytes, or kMaxKeylessBytes, or the budget has no
  // room.
  absl::Status Append(std::string_view piece);
  // Makes the call; `done` comes once, when answer() is there. The call must live until then.
  void Run(std::function<void()> done);
  // For callers that the door will not let in: makes the call without a body and waits for its refusal, which the door
  // counts and audits like any other.
  void RunRefused();

  const HttpAnswer& answer() const { return answer_; }
  void Fail(const absl::Status& status);

 private:
  void Convert();
  void Done();
  void Start(std::function<void(grpc::Status)> done);
  void TakeAnswer(const grpc::Status& status);

  HttpCalls& calls_;
  const Method& method_;
  const HttpHeaders headers_;
  const Identity caller_;
  const std::string holder_;  // of memory
  const std::chrono::steady_clock::time_point deadline_;
  std::string body_;
  std::vector<MemoryBudget::Hold> holds_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_, response_;
  std::function<void()> done_;
  HttpAnswer answer_;
  bool started_ = false;
  MemoryBudget::Hold pending_;  // of answers that clients have not taken yet
};

}  // namespace bebr

#endif  // BEBR_SERVER_HTTP_HTTP_CALL_H_
