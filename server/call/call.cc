#include "server/call/call.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "server/call/status.h"

namespace bebr {
namespace {

// Whether a status means that something is wrong with the server, not with the call or the load.
bool IsServerError(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNKNOWN || code == grpc::StatusCode::INTERNAL ||
         code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DATA_LOSS;
}

constexpr size_t kMaxAuditedBytes = 200;  // of what the client calls something

// Of what the engine found: itself, the message, and its bytes.
constexpr uint64_t kCopies = 3;

bool IsDenied(absl::StatusCode code) {
  return code == absl::StatusCode::kUnauthenticated || code == absl::StatusCode::kPermissionDenied;
}

}  // namespace

Call::Call(CallStart start)
    : rpc_(start.rpc),
      method_(start.method),
      context_(start.context),
      identity_(std::move(start.identity)),
      ids_(ReadCallIds(context_.client_metadata())),
      peer_(std::move(start.peer)),
      holder_(identity_.Holder(peer_)),
      charged_(start.charged),
      slot_(std::move(start.slot)),
      pass_(std::move(start.pass)),
      answer_memory_(rpc_.answers, holder_) {
  method_.counters->started->Increment();
  // A caller without a key has as long for its message as for taking the answer, and does not hold on to its place.
  if (!method_.role.has_value()) rpc_.responses->Begin(&context_, holder_, 0);
  context_.AddInitialMetadata("x-request-id", ids_.request_id);
  context_.AddInitialMetadata("traceparent", ids_.traceparent);
}

SteadyTime Call::deadline() const {
  const auto deadline = context_.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return absl::InfiniteDuration();
  // What is left of it is the same on every clock; from here on only the steady one counts.
  return SteadyNow() + absl::FromChrono(deadline - std::chrono::system_clock::now());
}

absl::Duration Call::age() const { return SteadyNow() - started_; }

void Call::AddSearched(uint64_t queries, uint64_t documents_scanned, const SearchTimings& timings, SteadyTime begun) {
  queries_ += queries;
  documents_scanned_ += documents_scanned;
  timings_ = timings;
  absl::Duration after = begun - started_;
  const std::pair<const char*, int64_t> stages[] = {
      {"queue", timings.queue_us}, {"encode", timings.encode_us}, {"scan", timings.scan_us}};
  for (const auto& [name, micros] : stages) {
    stages_.push_back({name, after, absl::Microseconds(micros)});
    after += absl::Microseconds(micros);
  }
  if (timings.rerank_us > 0) {
    const absl::Duration rerank = absl::Microseconds(timings.rerank_us);
    stages_.push_back({"rerank", age() - rerank, rerank});
  }
}

void Call::AddWritten(const WriteTimings& timings) {
  const absl::Duration queue = absl::Microseconds(timings.queue_us), commit = absl::Microseconds(timings.commit_us);
  const absl::Duration now = age();
  stages_.push_back({"queue", now - commit - queue, queue});
  stages_.push_back({"commit", now - commit, commit});
}

absl::Status Call::Interrupted() const {
  if (gone()) return absl::CancelledError("the client ended the call");
  if (SteadyNow() >= deadline()) return absl::DeadlineExceededError("the deadline passed before the call was done");
  return absl::OkStatus();
}

std::function<absl::Status(uint64_t bytes)> Call::AnswerMemoryTaker() const {
  return [this](uint64_t bytes) { return TakeAnswerMemory(kCopies * bytes); };
}

grpc_call* Call::RefCall() {
  grpc_call_ref(context_.c_call());
  return context_.c_call();
}

bool Call::gone() const { return *cancelled_ || context_.IsCancelled(); }

void Call::OnReadDone(bool ok) {
  if (!ok) return OnInputEnd();
  method_.counters->received->Increment();
  OnMessage();
}

void Call::OnWriteDone(bool ok) {
  rpc_.responses->End(&context_);
  OnWritten(ok);
}

absl::Status Call::Charge(uint64_t bytes) {
  return std::exchange(charged_, false) ? absl::OkStatus() : identity_.Charge(bytes);
}

absl::Status Call::AdmitAnswer() const {
  return method_.role.has_value() ? rpc_.responses->Admit(holder_) : absl::OkStatus();
}

absl::Status Call::Take(google::protobuf::Message* message, MemoryBudget::Hold* hold) {
  const uint64_t bytes = input_.Length();
  {
    grpc::ProtoBufferReader reader(&input_);
    BEBR_ASSIGN_OR_RETURN(const uint64_t parsed_bytes, method_.schema->Measure(reader, bytes));
    BEBR_ASSIGN_OR_RETURN(*hold, rpc_.parsed.Take(holder_, parsed_bytes));
  }
  grpc::ProtoBufferReader reader(&input_);
  const bool parsed = message->ParseFromZeroCopyStream(&reader);
  input_.Clear();
  CountInput(bytes);
  if (parsed) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("the request is no %s: its bytes are garbled", message->GetDescriptor()->full_name()));
}

void Call::CountInput(uint64_t bytes) {
  if (method_.role.has_value()) rpc_.metrics->keys().AddRequestBytes(identity_.name(), bytes);
  uncounted_bytes_ += bytes;
  if (!collection_.empty())
    rpc_.metrics->collections().AddRequestBytes(collection_, std::exchange(uncounted_bytes_, 0));
}

uint64_t Call::PeekNumber(int field) {
  using google::protobuf::internal::WireFormatLite;
  grpc::ProtoBufferReader reader(&input_);
  google::protobuf::io::CodedInputStream in(&reader);
  const uint32_t wanted = WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_VARINT);
  uint64_t number = 0;
  while (const uint32_t tag = in.ReadTag()) {
    if (!(tag == wanted ? in.ReadVarint64(&number) : WireFormatLite::SkipField(&in, tag))) break;
  }
  return number;
}

absl::Status Call::Authorize(const Target& target) {
  named_ = ShortText(target.collection, kMaxAuditedBytes);
  object_ = ShortText(target.other.empty() ? std::string_view(target.object) : target.other, kMaxAuditedBytes);
  return Audited(CheckTarget(target));
}

absl::Status Call::CheckTarget(const Target& target) {
  std::string collection = rpc_.engine->Resolve(target.collection);
  BEBR_RETURN_IF_ERROR(identity_.MayUse(collection, target.collection));
  if (!target.other.empty()) BEBR_RETURN_IF_ERROR(identity_.MayUse(rpc_.engine->Resolve(target.other), target.other));
  collection_ = std::move(collection);
  return absl::OkStatus();
}

absl::Status Call::AuthorizeAgain() { return Audited(IdentifyAgain()); }

absl::Status Call::IdentifyAgain() {
  BEBR_ASSIGN_OR_RETURN(identity_, rpc_.authenticator->Identify(BearerKey(context_.client_metadata())));
  BEBR_RETURN_IF_ERROR(identity_.MayDo(*method_.role));
  return identity_.MayUse(collection_, named_);
}

absl::Status Call::Audited(absl::Status denied) {
  if (denied.ok()) return denied;
  if (rpc_.refusals.Take(peer_)) Audit(denied.code());
  audited_ = true;
  return denied;
}

void Call::Serialize(const google::protobuf::Message& message) {
  bool own_buffer = false;
  output_.Clear();
  grpc::SerializationTraits<google::protobuf::Message>::Serialize(message, &output_, &own_buffer);
  method_.counters->sent->Increment();
}

void Call::Write(const google::protobuf::Message& message) {
  Serialize(message);
  rpc_.responses->Begin(&context_, holder_, output_.Length());
  StartWrite(&output_);
}

void Call::Answer(const google::protobuf::Message& message) {
  Serialize(message);
  Ended(grpc::Status::OK, output_.Length());
  StartWriteAndFinish(&output_, grpc::WriteOptions(), grpc::Status::OK);
}

void Call::End(const absl::Status& status) {
  const grpc::Status converted = ToGrpcStatus(status);
  Ended(converted, 0);
  Finish(converted);
}

void Call::Ended(const grpc::Status& status, uint64_t answer_bytes) {
  constexpr size_t kUnknown = 2;
  auto& counters = *method_.counters;
  const auto code = static_cast<size_t>(status.error_code());
  const auto absl_code = static_cast<absl::StatusCode>(status.error_code());
  counters.handled[code < counters.handled.size() ? code : kUnknown]->Increment();
  counters.seconds->Observe(absl::ToDoubleSeconds(age()));
  CountUse(absl_code, answer_bytes);
  if (rpc_.tracer != nullptr && method_.role.has_value()) Trace(status);
  rpc_.responses->Begin(&context_, holder_, answer_bytes);
  if (!audited_ && (method_.audited || IsDenied(absl_code))) Audit(absl_code);
  if (hushed_ || !IsServerError(status.error_code())) return;
  LogEvent(LogLevel::kWarning, "call_failed",
           {{"method", method_.path},
            {"code", static_cast<int64_t>(code)},
            {"error", status.error_message()},
            {"request_id", ids_.request_id},
            {"trace_id", ids_.trace_id()}});
}

void Call::CountUse(absl::StatusCode code, uint64_t answer_bytes) {
  CallUse use{.kind = method_.kind,
              .code = code,
              .queries = queries_,
              .documents_scanned = documents_scanned_,
              .answer_bytes = answer_bytes};
  if (!method_.client_streams && !method_.server_streams) use.duration = age();
  rpc_.metrics->collections().AddCall(collection_, use);
  if (!collection_.empty()) rpc_.metrics->collections().AddRequestBytes(collection_, uncounted_bytes_);
  if (method_.role.has_value() && code != absl::StatusCode::kUnauthenticated)
    rpc_.metrics->keys().AddCall(identity_.name(), use);
}

void Call::Trace(const grpc::Status& status) {
  const std::string message = status.error_message();
  EndedCall call{.traceparent = ids_.traceparent,
                 .from_client = ids_.traced_by_client,
                 .path = method_.path,
                 .code = status.error_code(),
                 .server_fault = IsServerError(status.error_code()),
                 .error = message,
                 .duration = age()};
  call.texts = {{"bebr.collection", collection_},
                {"bebr.key", identity_.name()},
                {"bebr.request_id", ids_.request_id},
                {"network.peer.address", peer_}};
  if (queries_ > 0) {
    call.numbers = {{"bebr.queries", static_cast<int64_t>(queries_)},
                    {"bebr.documents_scanned", static_cast<int64_t>(documents_scanned_)},
                    {"bebr.queue_us", timings_.queue_us},
                    {"bebr.encode_us", timings_.encode_us},
                    {"bebr.scan_us", timings_.scan_us},
                    {"bebr.rerank_us", timings_.rerank_us}};
  }
  call.stages = stages_;
  rpc_.tracer->Add(call);
}

void Call::Audit(absl::StatusCode code) {
  if (hushed_) return;
  LogEvent(LogLevel::kAudit, "audit",
           {{"method", method()},
            {"collection", named_},
            {"key", code == absl::StatusCode::kUnauthenticated ? "unknown" : identity_.name()},
            {"peer", peer_},
            {"request_id", ids_.request_id},
            {"result", code == absl::StatusCode::kOk ? "done"
                       : IsDenied(code)              ? "denied"
                                                     : "failed"},
            {"code", static_cast<int64_t>(code)},
            {"object", object_}});
}

void Call::OnCancel() {
  cancelled_->store(true, std::memory_order_relaxed);
  OnCancelled();
}

void Call::OnDone() {
  rpc_.responses->End(&context_);
  rpc_.ended(peer_);
  Release();
}

}  // namespace bebr
