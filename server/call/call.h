// What is the same for every call.
#ifndef BEBR_SERVER_CALL_CALL_H_
#define BEBR_SERVER_CALL_CALL_H_

#include <google/protobuf/message.h>
#include <grpc/grpc.h>
#include <grpcpp/generic/async_generic_service.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/engine.h"
#include "server/access/auth.h"
#include "server/call/answer_memory.h"
#include "server/call/call_ids.h"
#include "server/call/memory_budget.h"
#include "server/call/method.h"
#include "server/call/rpc_context.h"
#include "server/trace/tracer.h"

namespace bebr {

// What a request is about, for access and for the audit. Views are borrowed from the request.
struct Target {
  std::string_view collection;  // a collection or an alias, which must be the caller's; empty: none in particular
  std::string_view other;       // another one that must be, or nothing
  std::string object;           // what else the audit names: a version, a snapshot
};

// A Call is one call of a method, of whatever kind, from when its caller was let in until gRPC is done with it: it
// reads messages within the limits, answers, and does for every call what is the same for all: counts it for the
// grpc_server_* metrics, returns its ids, logs its outcome where that is of interest, and watches that its answer is
// taken.
//
// Ownership: deletes itself when gRPC is done with it, which is after End or Answer; one of them must be called exactly
// once. Thread safety: gRPC calls one method at a time, but for OnCancel, which may come at any time; what subclasses
// do from other threads is theirs to order.
class Call : public grpc::ServerGenericBidiReactor {
 public:
  const CallIds& ids() const { return ids_; }
  const std::string& peer() const { return peer_; }
  const Identity& identity() const { return identity_; }
  // Whose share of the memory for requests and answers the call takes.
  const std::string& holder() const { return holder_; }
  std::string_view method() const { return method_.name(); }
  // Whether the call changes nothing, so that its answer may be withheld.
  bool reads() const { return method_.role == Role::kRead; }
  // The collection that the request is about, aliases resolved; empty before it was authorised.
  const std::string& collection() const { return collection_; }
  SteadyTime deadline() const;  // InfiniteDuration where the client gave none
  absl::Duration age() const;
  // Whether the client has gone, or taken the call back. True before OnInputEnd where that is why the input ended.
  bool gone() const;
  // The same, for work that may end early and outlive the call; set a moment later.
  const std::shared_ptr<std::atomic<bool>>& cancelled() const { return cancelled_; }

  // OK, or CANCELLED or DEADLINE_EXCEEDED: nobody waits for the answer any more.
  absl::Status Interrupted() const;
  // RESOURCE_EXHAUSTED while the caller leaves too many answers unread, if it has a key to be known by.
  absl::Status AdmitAnswer() const;
  // Before the answer takes so many bytes of memory more: as AnswerMemory::Take. On any thread.
  absl::Status TakeAnswerMemory(uint64_t bytes) const { return answer_memory_.Take(bytes); }
  // The same for what the engine makes, of which the answer and its bytes are copies. The call must outlive it.
  std::function<absl::Status(uint64_t bytes)> AnswerMemoryTaker() const;

  // Counts what was searched for the call, and where its time went. The engine had it from `begun` to now.
  void AddSearched(uint64_t queries, uint64_t documents_scanned, const SearchTimings& timings, SteadyTime begun);
  // Where the time of a write went, which ends now.
  void AddWritten(const WriteTimings& timings);
  // Ends the call with a status, for streams also with OK.
  void End(const absl::Status& status);

 protected:
  explicit Call(CallStart start);
  ~Call() override = default;

  // Reads the next message; OnMessage or OnInputEnd follows.
  void Read() { StartRead(&input_); }
  // The next message is there; Take it before the next Read.
  virtual void OnMessage() {}
  // The client sends no more, or has gone.
  virtual void OnInputEnd() {}

  // Takes the message that was read apart. INVALID_ARGUMENT and RESOURCE_EXHAUSTED as of WireSchema::Measure and
  // MemoryBudget::Take; `hold` is what it takes of the budget, for as long as it lives.
  absl::Status Take(google::protobuf::Message* message, MemoryBudget::Hold* hold);
  // Takes a message of so many bytes off the key's rates: as Identity::Charge.
  absl::Status Charge(uint64_t bytes);
  uint64_t input_bytes() const { return input_.Length(); }
  // The number in a field of the message that was read, without taking it apart; 0 where there is none.
  uint64_t PeekNumber(int field);
  // PERMISSION_DENIED unless the caller may use the target's collections; sets collection().
  absl::Status Authorize(const Target& target);
  // For calls that last: whether the key that the call came with is still good for it, UNAUTHENTICATED or
  // PERMISSION_DENIED if not.
  absl::Status AuthorizeAgain();
  // What TakeAnswerMemory took, which the call holds no more.
  MemoryBudget::Hold ReleaseAnswerMemory() { return answer_memory_.Release(); }
  // gRPC's call, with a reference for the caller. Not after End.
  grpc_call* RefCall();
  // Nothing is logged of the call any more.
  void Hush() { hushed_ = true; }

  // Sends a message of a stream; OnWritten follows. `message` need not live on.
  void Write(const google::protobuf::Message& message);
  // Sends the one message that answers the call, and ends it. `message` need not live on.
  void Answer(const google::protobuf::Message& message);
  virtual void OnWritten(bool /*ok*/) {}
  virtual void OnCancelled() {}
  // gRPC is done with the call.
  virtual void Release() { delete this; }

  RpcContext& rpc() const { return rpc_; }

 private:
  void OnReadDone(bool ok) final;
  void OnWriteDone(bool ok) final;
  void OnCancel() final;
  void OnDone() final;
  // What is to be done at the end whatever it is.
  void Ended(const grpc::Status& status, uint64_t answer_bytes);
  // Writes the call into the audit.
  void Audit(absl::StatusCode code);
  // Writes a refusal into the audit, if there are not too many of them. A stream may have several.
  absl::Status Audited(absl::Status denied);
  absl::Status CheckTarget(const Target& target);
  absl::Status IdentifyAgain();

  // Counts what came in and what was used, for the metrics by collection and by key.
  void CountInput(uint64_t bytes);
  void CountUse(absl::StatusCode code, uint64_t answer_bytes);
  // Hands the call to the tracer.
  void Trace(const grpc::Status& status);
  void Serialize(const google::protobuf::Message& message);

  RpcContext& rpc_;
  const Method& method_;
  grpc::GenericCallbackServerContext& context_;
  Identity identity_;
  const CallIds ids_;
  const std::string peer_;
  const std::string holder_;
  std::string collection_;
  // For the audit: as the request has them.
  std::string named_;
  std::string object_;
  bool audited_ = false;  // what came of it is there already, or there were too many refusals
  bool hushed_ = false;
  bool charged_ = false;  // for the first message
  uint64_t queries_ = 0;
  uint64_t documents_scanned_ = 0;
  SearchTimings timings_;
  std::vector<CallStage> stages_;
  uint64_t uncounted_bytes_ = 0;  // that came in before the collection was known
  const KeylessCalls::Slot slot_;
  const Gate::Pass pass_;
  const SteadyTime started_ = SteadyNow();
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  mutable AnswerMemory answer_memory_;
  grpc::ByteBuffer input_;
  grpc::ByteBuffer output_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_CALL_H_
