// Calls with one request and one response.
#ifndef BEBR_SERVER_CALL_UNARY_CALL_H_
#define BEBR_SERVER_CALL_UNARY_CALL_H_

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "index/base/status_macros.h"
#include "server/call/call.h"

namespace bebr {

// A call with one request and one response. The request is read, charged to the key's rates, taken apart and
// authorised, in this order, before a handler sees it.
template <typename Request, typename Response>
class UnaryCall final : public Call {
 public:
  // Must end in Done, exactly once, on whatever thread.
  using Handler = std::function<void(RpcContext&, UnaryCall&)>;

  // `handler` is the method's, which outlives the call.
  UnaryCall(CallStart start, Target (*target)(const Request&), const Handler& handler)
      : Call(std::move(start)), target_(target), handler_(handler) {
    Read();
  }

  const Request& request() const { return request_; }
  Response& response() { return response_; }
  // Sends the response, or the error. Request and response are gone afterwards: the answer may wait for its client for
  // long, and they take several times as much.
  void Done(const absl::Status& status) {
    MemoryBudget::Hold memory = ReleaseAnswerMemory();
    Response response = std::move(response_);
    request_ = Request();
    hold_ = MemoryBudget::Hold();
    // Of the calls that were let in at the same time, only as many are answered as there is room to wait for.
    const absl::Status room = status.ok() && reads() ? AdmitAnswer() : status;
    if (room.ok()) return Answer(response);
    response = Response();
    memory = MemoryBudget::Hold();
    End(room);
  }

 private:
  void OnMessage() override {
    if (const absl::Status taken = Admit(); !taken.ok()) return End(taken);
    handler_(rpc(), *this);
  }
  void OnInputEnd() override { End(absl::InvalidArgumentError("the call has no message; it has one")); }

  absl::Status Admit() {
    BEBR_RETURN_IF_ERROR(Charge(input_bytes()));
    BEBR_RETURN_IF_ERROR(AdmitAnswer());
    BEBR_RETURN_IF_ERROR(Take(&request_, &hold_));
    return Authorize(target_(request_));
  }

  Target (*const target_)(const Request&);
  const Handler& handler_;
  Request request_;
  Response response_;
  MemoryBudget::Hold hold_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_UNARY_CALL_H_
