#include "server/rpc/stream_upsert.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"
#include "server/access/auth.h"
#include "server/call/call_context.h"
#include "server/call/status.h"
#include "server/config/config.h"
#include "server/metrics/metrics.h"
#include "server/rpc/convert.h"

namespace bebr {
namespace {

constexpr absl::Duration kLongestWait = absl::Milliseconds(200);

}  // namespace

StreamUpsertCall* StreamUpsertCall::Start(RpcContext& rpc, const grpc::CallbackServerContext& context) {
  auto* call = new StreamUpsertCall(rpc, context);
  call->self_ = std::shared_ptr<StreamUpsertCall>(call);
  const bool added = rpc.streams->Add(call->self_);
  call->mutex_.Lock();
  call->draining_ |= !added;
  call->AdvanceAndUnlock();
  return call;
}

void StreamUpsertCall::OnReadDone(bool ok) {
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
  ++starting_;  // until Take is done with the call
  mutex_.Unlock();
  Take(message);
}

void StreamUpsertCall::Take(Message* message) {
  const absl::Status checked = Check(*message);
  const absl::Duration wait = RetryDelayOf(checked);
  mutex_.Lock();
  const bool ending = broken_ || draining_;
  mutex_.Unlock();
  if (wait > absl::ZeroDuration() && !ending) {
    // In short steps: the end of the call is not held up for long.
    wait_.Set(absl::ToChronoTime(absl::Now() + std::min(wait, kLongestWait)), [this, message](bool) { Take(message); });
    return;
  }
  if (checked.ok()) {
    Submit(message);
  } else {
    Acknowledge(message, checked);
  }
  mutex_.Lock();
  reading_ = false;  // only now: messages reach the engine in their order
  --starting_;
  AdvanceAndUnlock();
}

absl::Status StreamUpsertCall::Check(const Message& message) {
  const std::string& collection = message.request.collection();
  if (collection_.empty()) {
    if (collection.empty())
      return absl::InvalidArgumentError("collection is empty; the first message of a stream names it");
  } else if (!collection.empty() && collection != name_) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "collection is \"%s\"; this stream writes to \"%s\" since its first message", collection, name_));
  }
  const std::string resolved = collection_.empty() ? rpc_.engine->Resolve(collection) : collection_;
  BEBR_RETURN_IF_ERROR(rpc_.authenticator->Check(CallerOf(context_), "StreamUpsert", Role::kWrite, resolved,
                                                 message.request.ByteSizeLong()));
  if (collection_.empty()) {
    name_ = collection;
    collection_ = resolved;
  }
  return absl::OkStatus();
}

void StreamUpsertCall::Submit(Message* message) {
  auto documents = ToDocuments(message->request.documents(), message->arena);
  if (!documents.ok()) return Acknowledge(message, documents.status());
  const auto mode = ToUpsertMode(message->request.mode());
  if (!mode.ok()) return Acknowledge(message, mode.status());
  UpsertRequest upsert{.collection = collection_, .documents = *std::move(documents), .mode = *mode};
  rpc_.engine->Upsert(std::move(upsert),
                      [this, message](const absl::StatusOr<UpsertResult>& result) { Acknowledge(message, result); });
}

void StreamUpsertCall::Acknowledge(Message* message, const absl::StatusOr<UpsertResult>& result) {
  message->response.set_sequence(message->request.sequence());
  if (result.ok()) {
    message->response.set_documents(result->documents);
    message->response.set_created(result->created);
    for (const std::string& id : result->unknown_ids) message->response.add_unknown_ids(id);
  } else {
    rpc_.metrics->RefusedMessage(result.status().code()).Increment();
    message->response.set_error_code(static_cast<int32_t>(result.status().code()));
    message->response.set_error_message(std::string(result.status().message()));
  }
  // A client that does not read its acknowledgements must not keep what it sent in memory.
  message->request = {};
  message->arena = {};
  mutex_.Lock();
  message->done = true;
  --in_engine_;
  AdvanceAndUnlock();
}

void StreamUpsertCall::OnWriteDone(bool ok) {
  mutex_.Lock();
  writing_ = false;
  broken_ |= !ok;
  messages_.pop_front();
  AdvanceAndUnlock();
}

void StreamUpsertCall::OnCancel() {
  mutex_.Lock();
  broken_ = true;
  AdvanceAndUnlock();
}

void StreamUpsertCall::Drain() {
  mutex_.Lock();
  draining_ = true;
  AdvanceAndUnlock();
}

void StreamUpsertCall::OnDone() { self_.reset(); }

bool StreamUpsertCall::MayFinish() const {
  if (finished_ || writing_ || in_engine_ > 0 || starting_ > 0) return false;
  if (broken_) return true;
  // What may still be there is the message that a read waits for.
  return (input_ended_ || draining_) && messages_.size() == (reading_ ? 1u : 0u);
}

void StreamUpsertCall::AdvanceAndUnlock() {
  for (;;) {
    Message* to_write = nullptr;
    Message* to_read = nullptr;
    if (!finished_ && !broken_) {
      if (!writing_ && !messages_.empty() && messages_.front()->done) {
        writing_ = true;
        to_write = messages_.front().get();
      }
      if (!reading_ && !input_ended_ && !draining_ && messages_.size() < rpc_.config.upsert_window_messages) {
        reading_ = true;
        to_read = messages_.emplace_back(std::make_unique<Message>()).get();
      }
    }
    if (to_write == nullptr && to_read == nullptr) break;
    ++starting_;
    mutex_.Unlock();
    // The read first: it is what keeps the client busy.
    if (to_read != nullptr) StartRead(&to_read->request);
    if (to_write != nullptr) StartWrite(&to_write->response);
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
  Finish(ToGrpcStatus(status));
}

}  // namespace bebr
