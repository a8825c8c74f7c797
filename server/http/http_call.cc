#include "server/http/http_call.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"
#include "server/call/call_ids.h"
#include "server/call/status.h"
#include "server/http/json.h"

namespace bebr {
namespace {

constexpr uint64_t kHoldBytes = 64 << 10;  // of a body, held at a time
// The text, its wire bytes, and what strings that grow take beyond their length.
constexpr uint64_t kBytesHeldPerByte = 5;
constexpr absl::Duration kRefusalTimeout = absl::Seconds(5);

std::string Joined(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.DumpToSingleSlice(&slice).ok()) return {};
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

grpc::Status Stopping() { return {grpc::StatusCode::UNAVAILABLE, "the server is stopping"}; }

}  // namespace

std::string_view HttpHeaders::key() const { return BearerKey({{"authorization", authorization}}); }

HttpCall::HttpCall(HttpCalls& calls, const Method& method, Identity caller, HttpHeaders headers)
    : calls_(calls),
      method_(method),
      headers_(std::move(headers)),
      caller_(std::move(caller)),
      holder_(caller_.Holder(headers_.peer)),
      deadline_(headers_.timeout < absl::InfiniteDuration()
                    ? std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(headers_.timeout)
                    : std::chrono::steady_clock::time_point::max()) {}

absl::Status HttpCall::Append(std::string_view piece) {
  const uint64_t limit = method_.role.has_value() ? calls_.rpc.config.max_message_bytes : kMaxKeylessBytes;
  if (body_.size() + piece.size() > limit) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("the body has more than %d bytes, %s; send less at a time", limit,
                        method_.role.has_value() ? "the server's max_message_bytes" : "the limit of this method"));
  }
  const uint64_t step = std::min(kHoldBytes, limit);
  while (holds_.size() * step < body_.size() + piece.size()) {
    BEBR_ASSIGN_OR_RETURN(MemoryBudget::Hold hold, calls_.rpc.parsed.Take(holder_, step * kBytesHeldPerByte));
    holds_.push_back(std::move(hold));
  }
  body_.append(piece);
  return absl::OkStatus();
}

void HttpCall::Fail(const absl::Status& status) { answer_ = ErrorAnswer(ToGrpcStatus(status)); }

void HttpCall::Run(std::function<void()> done) {
  done_ = std::move(done);
  const auto left = deadline_ - std::chrono::steady_clock::now();
  if (left <= left.zero()) {
    Fail(absl::DeadlineExceededError("the time that Connect-Timeout-Ms gives has passed before the call was made"));
    return Done();
  }
  // gRPC counts in the time of day.
  if (headers_.timeout < absl::InfiniteDuration())
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::duration_cast<std::chrono::milliseconds>(left));
  absl::Status admitted = method_.role.has_value() ? calls_.rpc.responses->Admit(holder_) : absl::OkStatus();
  // Before the body is converted, which costs more than what it holds; the call is not charged again.
  if (admitted.ok()) admitted = caller_.Charge(body_.size());
  if (!admitted.ok()) {
    Fail(admitted);
    return Done();
  }
  calls_.pool.Submit([this] { Convert(); });
}

void HttpCall::Convert() {
  if (headers_.format == BodyFormat::kJson) {
    absl::StatusOr<std::string> wire = JsonToWire(*method_.request, body_);
    if (!wire.ok()) {
      Fail(wire.status());
      return Done();
    }
    body_ = *std::move(wire);
  }
  const grpc::Slice slice(body_);
  request_ = grpc::ByteBuffer(&slice, 1);
  body_ = std::string();
  // Of what was held for the body and its conversion, only these bytes are left.
  uint64_t left = request_.Length();
  for (MemoryBudget::Hold& hold : holds_) {
    const uint64_t kept = std::min(left, hold.bytes());
    hold.ShrinkTo(kept);
    left -= kept;
  }
  Start([this](const grpc::Status& status) {
    // Not on gRPC's thread: an answer may be large.
    calls_.pool.Submit([this, status] {
      TakeAnswer(status);
      Done();
    });
  });
}

void HttpCall::Done() {
  const std::function<void()> done = std::move(done_);
  done();  // and this call may be gone
}

void HttpCall::RunRefused() {
  absl::Notification refused;
  const grpc::Slice empty;
  request_ = grpc::ByteBuffer(&empty, 1);
  context_.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kRefusalTimeout));
  Start([&](const grpc::Status& status) {
    TakeAnswer(status);
    refused.Notify();
  });
  refused.WaitForNotification();
}

void HttpCall::Start(std::function<void(grpc::Status)> done) {
  const Gate::Pass pass = calls_.gate.Enter();
  started_ = pass.entered();
  if (!started_) return done(Stopping());
  if (!headers_.authorization.empty()) context_.AddMetadata("authorization", headers_.authorization);
  if (!headers_.request_id.empty()) context_.AddMetadata("x-request-id", headers_.request_id);
  if (!headers_.traceparent.empty()) context_.AddMetadata("traceparent", headers_.traceparent);
  context_.AddMetadata(kPeerMetadata, absl::StrCat(calls_.rpc.peer_secret, headers_.peer));
  // The answer may come, and this call be gone, before UnaryCall returns.
  calls_.stub.UnaryCall(&context_, method_.path, grpc::StubOptions(), &request_, &response_, std::move(done));
}

void HttpCall::TakeAnswer(const grpc::Status& status) {
  request_.Clear();
  holds_.clear();
  if (!status.ok()) {
    // Nobody but the server's end takes calls back.
    const bool stopped = status.error_code() == grpc::StatusCode::CANCELLED && calls_.gate.closed();
    answer_ = ErrorAnswer(stopped ? Stopping() : status);
  } else {
    // The others see it before it is made; how long it becomes is known then.
    pending_ = calls_.rpc.responses->Count(holder_, response_.Length());
    answer_ = {200, Joined(response_), std::string(ContentTypeOf(headers_.format)), {}};
    response_.Clear();
    if (headers_.format == BodyFormat::kJson) {
      absl::StatusOr<std::string> json = WireToJson(*method_.response, answer_.body);
      if (json.ok()) {
        answer_.body = *std::move(json);
      } else {
        Fail(json.status());
      }
    }
  }
  for (const char* name : {"x-request-id", "traceparent"}) {
    if (!started_) break;
    const auto& metadata = context_.GetServerInitialMetadata();
    if (const auto found = metadata.find(name); found != metadata.end())
      answer_.headers.emplace_back(name, std::string(found->second.data(), found->second.size()));
  }
  // Not counted twice, not even for a moment: what is the caller's share is refused to its other calls.
  const uint64_t bytes = answer_.body.size();
  if (pending_.bytes() >= bytes) return pending_.ShrinkTo(bytes);
  pending_ = MemoryBudget::Hold();
  pending_ = calls_.rpc.responses->Count(holder_, bytes);
}

}  // namespace bebr
