#include "server/rpc/stream_upsert.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"
#include "server/call/hidden_paths.h"
#include "server/call/status.h"
#include "server/config/config.h"
#include "server/metrics/metrics.h"
#include "server/rpc/make_method.h"

namespace bebr {
namespace {

constexpr absl::Duration kLongestWait = absl::Milliseconds(200);
constexpr uint64_t kResultBytes = 256;  // of one document, in an acknowledgement that has them

}  // namespace

Method StreamUpsertMethod() {
  Method method = MethodOf<v1::StreamUpsertRequest, v1::StreamUpsertResponse>("/bebr.v1.DocumentService/StreamUpsert",
                                                                              Role::kWrite);
  method.client_streams = method.server_streams = true;
  method.make = [](CallStart start) -> Call* { return StreamUpsertCall::Start(std::move(start)); };
  return method;
}

StreamUpsertCall* StreamUpsertCall::Start(CallStart start) {
  auto* call = new StreamUpsertCall(std::move(start));
  call->self_ = std::shared_ptr<StreamUpsertCall>(call);
  const bool added = call->rpc().streams->Add(call->self_);
  call->mutex_.Lock();
  call->draining_ |= !added;
  call->AdvanceAndUnlock();
  return call;
}

void StreamUpsertCall::EndRead(bool ok) {
  mutex_.Lock();
  Message* message = messages_.back().get();
  if (!ok || finished_) {
    if (!ok) messages_.pop_back();
    input_ended_ |= !ok;
    reading_ = false;
    AdvanceAndUnlock();
    return;
  }
  ++in_engine_;
  ++starting_;  // until Accept is done with the call
  mutex_.Unlock();
  Accept(message);
}

void StreamUpsertCall::Accept(Message* message) {
  const absl::Status admitted = Admit(*message);
  const absl::Duration wait = RetryDelayOf(admitted);
  mutex_.Lock();
  const bool ending = broken_ || draining_;
  mutex_.Unlock();
  if (wait > absl::ZeroDuration() && !ending) {
    // In short steps: the end of the call is not held up for long.
    wait_.Set(absl::ToChronoTime(absl::Now() + std::min(wait, kLongestWait)),
              [this, message](bool) { Accept(message); });
    return;
  }
  if (admitted.ok()) {
    Submit(message);
  } else {
    // What was refused unread is named too.
    if (message->request.sequence() == 0)
      message->request.set_sequence(PeekNumber(v1::StreamUpsertRequest::kSequenceFieldNumber));
    Acknowledge(message, admitted);
  }
  mutex_.Lock();
  reading_ = false;  // only now: messages reach the engine in their order
  --starting_;
  AdvanceAndUnlock();
}

absl::Status StreamUpsertCall::Admit(Message& message) {
  if (!message.charged) {
    BEBR_RETURN_IF_ERROR(AuthorizeAgain());
    BEBR_RETURN_IF_ERROR(Charge(input_bytes()));
    message.charged = true;
  }
  BEBR_RETURN_IF_ERROR(AdmitAnswer());
  BEBR_RETURN_IF_ERROR(Take(&message.request, &message.hold));
  if (message.request.options().partial()) {
    const auto documents = static_cast<uint64_t>(message.request.documents_size());
    message.pending = rpc().responses->Count(holder(), documents * kResultBytes);
  }
  return Check(message.request);
}

absl::Status StreamUpsertCall::Check(const v1::StreamUpsertRequest& request) {
  const std::string& named = request.collection();
  if (!collection().empty()) {
    if (named.empty() || named == name_) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrFormat("collection is \"%s\"; this stream writes to \"%s\" since its first message",
                        ShortText(named, kMaxCollectionNameBytes), name_));
  }
  if (named.empty()) return absl::InvalidArgumentError("collection is empty; the first message of a stream names it");
  BEBR_RETURN_IF_ERROR(Authorize({.collection = named}));
  name_ = named;
  return absl::OkStatus();
}

void StreamUpsertCall::Submit(Message* message) {
  auto upsert = ToUpsertRequest(collection(), message->request, message->arena);
  if (!upsert.ok()) return Acknowledge(message, upsert.status());
  rpc().engine->Upsert(*std::move(upsert),
                       [this, message](const absl::StatusOr<UpsertResult>& result) { Acknowledge(message, result); });
}

void StreamUpsertCall::Acknowledge(Message* message, const absl::StatusOr<UpsertResult>& result) {
  message->response.set_sequence(message->request.sequence());
  if (result.ok()) {
    ToProto(*result, &message->response);
  } else {
    rpc().metrics->RefusedMessage(result.status().code()).Increment();
    message->response.set_error_code(static_cast<int32_t>(result.status().code()));
    const std::string error = ForCallers(std::string(result.status().message()));
    message->response.set_error_message(std::string(ShortMessage(error)));
  }
  // A client that does not read its acknowledgements must not keep what it sent in memory.
  message->request = {};
  message->arena = {};
  message->hold = {};
  message->pending = rpc().responses->Count(holder(), message->response.SpaceUsedLong());
  mutex_.Lock();
  message->done = true;
  --in_engine_;
  AdvanceAndUnlock();
}

void StreamUpsertCall::HandOver(Message& message) {
  const v1::StreamUpsertResponse response = std::move(message.response);
  message.pending = {};  // Write counts its bytes
  Write(response);
}

void StreamUpsertCall::OnWritten(bool ok) {
  mutex_.Lock();
  writing_ = false;
  broken_ |= !ok;
  messages_.pop_front();
  AdvanceAndUnlock();
}

void StreamUpsertCall::OnCancelled() {
  mutex_.Lock();
  broken_ = true;
  AdvanceAndUnlock();
}

void StreamUpsertCall::Drain() {
  mutex_.Lock();
  draining_ = true;
  AdvanceAndUnlock();
}

bool StreamUpsertCall::MayFinish() const {
  if (finished_ || writing_ || in_engine_ > 0 || starting_ > 0) return false;
  if (broken_) return true;
  // What may still be there is the message that a read waits for.
  return (input_ended_ || draining_) && messages_.size() == (reading_ ? 1u : 0u);
}

void StreamUpsertCall::AdvanceAndUnlock() {
  for (;;) {
    Message* to_write = nullptr;
    bool reads = false;
    if (!finished_ && !broken_) {
      if (!writing_ && !messages_.empty() && messages_.front()->done) {
        writing_ = true;
        to_write = messages_.front().get();
      }
      if (!reading_ && !input_ended_ && !draining_ && messages_.size() < rpc().limits.upsert_window_messages) {
        reading_ = true;
        messages_.push_back(std::make_unique<Message>());
        reads = true;
      }
    }
    if (to_write == nullptr && !reads) break;
    ++starting_;
    mutex_.Unlock();
    // The read first: it is what keeps the client busy.
    if (reads) Read();
    if (to_write != nullptr) HandOver(*to_write);
    mutex_.Lock();
    --starting_;
  }
  if (!MayFinish()) {
    mutex_.Unlock();
    return;
  }
  finished_ = true;
  absl::Status status;
  if (broken_) {
    status = absl::CancelledError("the client ended the call");
  } else if (!input_ended_) {
    status =
        absl::UnavailableError("the server is shutting down; messages without an acknowledgement were not written");
  }
  mutex_.Unlock();
  End(status);
}

}  // namespace bebr
