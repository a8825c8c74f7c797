#include "server/trace/tracer.h"

#include <google/protobuf/message.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "absl/random/random.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "server/build_info.h"

namespace bebr {
namespace {

constexpr const char* kExport = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr auto kTimeout = std::chrono::seconds(5);
constexpr auto kLastTimeout = std::chrono::seconds(1);
constexpr size_t kSpanIdBytes = 8;
constexpr size_t kMaxErrorBytes = 256;

absl::BitGen& Random() {
  thread_local absl::BitGen random;
  return random;
}

std::string HexToBytes(std::string_view hex) { return absl::HexStringToBytes(std::string(hex)); }

std::string NewSpanId() {
  std::string id(kSpanIdBytes, '\0');
  for (char& c : id) c = static_cast<char>(absl::Uniform<int>(absl::IntervalClosed, Random(), 1, 255));
  return id;
}

void AddText(google::protobuf::RepeatedPtrField<otlp::KeyValue>* list, std::string_view key, std::string_view value) {
  otlp::KeyValue* entry = list->Add();
  entry->set_key(std::string(key));
  entry->mutable_value()->set_string_value(std::string(value));
}

void AddNumber(google::protobuf::RepeatedPtrField<otlp::KeyValue>* list, std::string_view key, int64_t value) {
  otlp::KeyValue* entry = list->Add();
  entry->set_key(std::string(key));
  entry->mutable_value()->set_int_value(value);
}

void SetTimes(otlp::Span& span, absl::Time begin, absl::Duration duration) {
  span.set_start_time_unix_nano(static_cast<uint64_t>(absl::ToUnixNanos(begin)));
  span.set_end_time_unix_nano(static_cast<uint64_t>(absl::ToUnixNanos(begin + duration)));
}

otlp::Span SpanOf(const EndedCall& call, absl::Time begin) {
  otlp::Span span;
  span.set_trace_id(HexToBytes(call.traceparent.substr(3, 32)));
  span.set_span_id(NewSpanId());
  if (call.from_client) span.set_parent_span_id(HexToBytes(call.traceparent.substr(36, 16)));
  const std::string_view name = call.path.substr(std::min<size_t>(1, call.path.size()));
  span.set_name(std::string(name));
  span.set_kind(otlp::Span::KIND_SERVER);
  SetTimes(span, begin, call.duration);
  auto* attributes = span.mutable_attributes();
  const size_t slash = name.find('/');
  AddText(attributes, "rpc.system", "grpc");
  AddText(attributes, "rpc.service", name.substr(0, slash));
  if (slash != std::string_view::npos) AddText(attributes, "rpc.method", name.substr(slash + 1));
  AddNumber(attributes, "rpc.grpc.status_code", call.code);
  for (const auto& [key, value] : call.texts) {
    if (!value.empty()) AddText(attributes, key, value);
  }
  for (const auto& [key, value] : call.numbers) AddNumber(attributes, key, value);
  if (call.server_fault) {
    span.mutable_status()->set_code(otlp::Status::CODE_ERROR);
    span.mutable_status()->set_message(std::string(call.error.substr(0, kMaxErrorBytes)));
  }
  return span;
}

// The call's span, and those of its stages below it.
std::vector<otlp::Span> SpansOf(const EndedCall& call) {
  const absl::Time begin = absl::Now() - call.duration;
  std::vector<otlp::Span> spans = {SpanOf(call, begin)};
  for (const CallStage& stage : call.stages) {
    otlp::Span& span = spans.emplace_back();
    span.set_trace_id(spans[0].trace_id());
    span.set_span_id(NewSpanId());
    span.set_parent_span_id(spans[0].span_id());
    span.set_name(stage.name);
    span.set_kind(otlp::Span::KIND_INTERNAL);
    SetTimes(span, begin + stage.after, stage.duration);
  }
  return spans;
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tracer>> Tracer::Create(const ServerConfig& config,
                                                       const std::atomic<uint64_t>& sample_percent, Metrics* metrics) {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!config.otlp_ca_file.empty()) {
    const absl::StatusOr<std::string> authorities = ReadFile(config.otlp_ca_file);
    if (!authorities.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("otlp_ca_file ", authorities.status().message()));
    }
    credentials = grpc::SslCredentials({.pem_root_certs = *authorities, .pem_private_key = {}, .pem_cert_chain = {}});
  }
  return std::unique_ptr<Tracer>(
      new Tracer(grpc::CreateChannel(config.otlp_endpoint, credentials), sample_percent, metrics));
}

Tracer::Tracer(std::shared_ptr<grpc::Channel> channel, const std::atomic<uint64_t>& sample_percent, Metrics* metrics)
    : sample_percent_(sample_percent),
      instance_(HostName()),
      metrics_(metrics),
      channel_(std::move(channel)),
      thread_([this] { Run(); }) {}

Tracer::~Tracer() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

bool Tracer::Wants(const EndedCall& call) const {
  if (call.server_fault) return true;
  if (!call.from_client)
    return absl::Uniform<uint64_t>(Random(), 0, 100) < sample_percent_.load(std::memory_order_relaxed);
  // The last of the two hexadecimal digits of the flags is odd if the trace is sampled.
  const char flags = call.traceparent.back();
  return ((flags >= 'a' ? flags - 'a' + 10 : flags - '0') & 1) != 0;
}

void Tracer::Add(const EndedCall& call) {
  if (!Wants(call)) return;
  std::vector<otlp::Span> spans = SpansOf(call);
  const auto count = static_cast<double>(spans.size());
  bool full = false, due = false;
  {
    MutexLock lock(&mutex_);
    full = waiting_.size() >= kMostWaiting;
    if (!full) std::move(spans.begin(), spans.end(), std::back_inserter(waiting_));
    due = waiting_.size() >= kBatch;
  }
  if (full) metrics_->Spans(/*sent=*/false).Increment(count);
  if (due) wake_.NotifyAll();
}

void Tracer::Run() {
  bool stopping = false;
  while (!stopping) {
    std::vector<otlp::Span> batch;
    {
      MutexLock lock(&mutex_);
      if (!stopping_ && waiting_.size() < kBatch) wake_.WaitFor(&mutex_, kInterval);
      stopping = stopping_;
      // The last ones go together.
      const size_t count = stopping ? waiting_.size() : std::min(waiting_.size(), kBatch);
      for (size_t i = 0; i < count; ++i) {
        batch.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
    }
    if (batch.empty()) continue;
    const auto count = static_cast<double>(batch.size());
    metrics_->Spans(Send(std::move(batch), stopping)).Increment(count);
  }
}

bool Tracer::Send(std::vector<otlp::Span> spans, bool last) {
  otlp::ExportRequest request;
  otlp::ResourceSpans* process = request.add_resource_spans();
  AddText(process->mutable_resource()->mutable_attributes(), "service.name", "bebr");
  AddText(process->mutable_resource()->mutable_attributes(), "service.version", kBuildVersion);
  AddText(process->mutable_resource()->mutable_attributes(), "host.name", instance_);
  otlp::ScopeSpans* scope = process->add_scope_spans();
  scope->mutable_scope()->set_name("bebr-server");
  for (otlp::Span& span : spans) *scope->add_spans() = std::move(span);

  grpc::ByteBuffer bytes, answer;
  bool own_buffer = false;
  grpc::SerializationTraits<google::protobuf::Message>::Serialize(request, &bytes, &own_buffer);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + (last ? kLastTimeout : kTimeout));
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel_);
  const auto call = stub.PrepareUnaryCall(&context, kExport, bytes, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (!status.ok()) LogDebug("spans are not taken: {}", status.error_message());
  return status.ok();
}

}  // namespace bebr
