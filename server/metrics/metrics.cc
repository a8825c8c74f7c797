#include "server/metrics/metrics.h"

#include <google/protobuf/descriptor.h>
#include <prometheus/text_serializer.h>

#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bebr/v1/admin.pb.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/documents.pb.h"
#include "bebr/v1/search.pb.h"
#include "server/metrics/cluster_metrics.h"
#include "server/metrics/engine_metrics.h"
#include "server/metrics/metric_table.h"

namespace bebr {
namespace {

constexpr const char* kCodes[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};
constexpr std::array<const char*, 3> kReloadables = {"configuration", "keys", "certificate"};
constexpr std::string_view kOther = "other";

const prometheus::Histogram::BucketBoundaries& SecondsBuckets() {
  static const auto* const buckets = new prometheus::Histogram::BucketBoundaries{
      0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
  return *buckets;
}

prometheus::Family<prometheus::Counter>& CounterFamily(prometheus::Registry& registry, const char* name) {
  return prometheus::BuildCounter().Name(name).Help(EmptyFamily(name).help).Register(registry);
}

prometheus::Family<prometheus::Gauge>& GaugeFamily(prometheus::Registry& registry, const char* name) {
  return prometheus::BuildGauge().Name(name).Help(EmptyFamily(name).help).Register(registry);
}

prometheus::Family<prometheus::Histogram>& HistogramFamily(prometheus::Registry& registry, const char* name) {
  return prometheus::BuildHistogram().Name(name).Help(EmptyFamily(name).help).Register(registry);
}

}  // namespace

Metrics::Metrics()
    : started_(CounterFamily(registry_, "grpc_server_started_total")),
      handled_(CounterFamily(registry_, "grpc_server_handled_total")),
      seconds_(HistogramFamily(registry_, "grpc_server_handling_seconds")),
      received_(CounterFamily(registry_, "grpc_server_msg_received_total")),
      sent_(CounterFamily(registry_, "grpc_server_msg_sent_total")),
      stages_(HistogramFamily(registry_, "bebr_search_stage_seconds")),
      rate_limited_(CounterFamily(registry_, "bebr_rate_limited_calls_total")),
      closed_strangers_(CounterFamily(registry_, "bebr_closed_strangers_total")),
      options_(GaugeFamily(registry_, "bebr_option")),
      certificate_expiry_(GaugeFamily(registry_, "bebr_certificate_expiry_timestamp_seconds")),
      sent_spans_(CounterFamily(registry_, "bebr_spans_total").Add({{"result", "sent"}})),
      dropped_spans_(CounterFamily(registry_, "bebr_spans_total").Add({{"result", "dropped"}})),
      ready_(GaugeFamily(registry_, "bebr_ready").Add({})),
      connections_(GaugeFamily(registry_, "bebr_connections").Add({})),
      refused_connections_(CounterFamily(registry_, "bebr_refused_connections_total").Add({})),
      pending_response_bytes_(GaugeFamily(registry_, "bebr_pending_response_bytes").Add({})),
      slow_readers_(CounterFamily(registry_, "bebr_slow_readers_total").Add({})),
      slow_queries_(CounterFamily(registry_, "bebr_slow_queries_total").Add({})),
      queries_per_scan_(
          HistogramFamily(registry_, "bebr_search_queries_per_scan")
              .Add({}, prometheus::Histogram::BucketBoundaries{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024})),
      queue_(Stage("queue")),
      encode_(Stage("encode")),
      scan_(Stage("scan")),
      rerank_(Stage("rerank")) {
  // Every method is there from the start: rates are right from the first call on.
  for (const auto* file : {v1::SearchRequest::descriptor()->file(), v1::GetRequest::descriptor()->file(),
                           v1::Collection::descriptor()->file(), v1::GetStatsRequest::descriptor()->file()}) {
    const auto* service = file->service(0);
    for (int i = 0; i < service->method_count(); ++i) {
      const auto* method = service->method(i);
      const char* type = method->client_streaming() ? (method->server_streaming() ? "bidi_stream" : "client_stream")
                                                    : (method->server_streaming() ? "server_stream" : "unary");
      AddMethod(service->full_name(), method->name(), type);
    }
  }
  AddMethod(std::string(kOther), std::string(kOther), "unary");
  AddReloads();
  for (const char* reason : {"bytes", "silence", "room", "calls"}) ClosedStranger(reason);
  auto& messages = CounterFamily(registry_, "bebr_refused_stream_messages_total");
  for (size_t code = 0; code < refused_messages_.size(); ++code) {
    refused_messages_[code] = &messages.Add({{"grpc_code", kCodes[code]}});
  }
}

prometheus::Counter& Metrics::RateLimited(const std::string& key, const std::string& limit) {
  return rate_limited_.Add({{"key", key}, {"limit", limit}});
}

void Metrics::AddReloads() {
  auto& reloads = CounterFamily(registry_, "bebr_reloads_total");
  auto& failing = GaugeFamily(registry_, "bebr_reload_failing");
  for (size_t i = 0; i < kReloadables.size(); ++i) {
    const std::string what = kReloadables[i];
    reloads_[i] = {&reloads.Add({{"what", what}, {"result", "ok"}}),
                   &reloads.Add({{"what", what}, {"result", "failed"}}), &failing.Add({{"what", what}})};
  }
}

void Metrics::Reloaded(Reloadable what, bool ok) {
  const ReloadCounters& counters = reloads_[static_cast<size_t>(what)];
  (ok ? counters.ok : counters.failed)->Increment();
  counters.failing->Set(ok ? 0 : 1);
}

void Metrics::SetCertificateExpiry(absl::Time expiry) {
  certificate_expiry_.Add({}).Set(static_cast<double>(absl::ToUnixSeconds(expiry)));
}

prometheus::Counter& Metrics::ClosedStranger(const char* reason) { return closed_strangers_.Add({{"reason", reason}}); }

prometheus::Counter& Metrics::RefusedMessage(absl::StatusCode code) {
  constexpr size_t kUnknown = 2;
  const auto number = static_cast<size_t>(code);
  return *refused_messages_[number < refused_messages_.size() ? number : kUnknown];
}

void Metrics::SetOptions(const ServerConfig& config) {
  for (const auto& [name, value] : NumericOptions(config))
    options_.Add({{"option", name}}).Set(static_cast<double>(value));
}

prometheus::Histogram& Metrics::Stage(const char* stage) { return stages_.Add({{"stage", stage}}, SecondsBuckets()); }

void Metrics::AddMethod(const std::string& service, const std::string& method, const std::string& type) {
  const prometheus::Labels labels = {{"grpc_type", type}, {"grpc_service", service}, {"grpc_method", method}};
  Method entry;
  entry.started = &started_.Add(labels);
  entry.seconds = &seconds_.Add(labels, SecondsBuckets());
  entry.received = &received_.Add(labels);
  entry.sent = &sent_.Add(labels);
  for (size_t code = 0; code < entry.handled.size(); ++code) {
    prometheus::Labels with_code = labels;
    with_code["grpc_code"] = kCodes[code];
    entry.handled[code] = &handled_.Add(with_code);
  }
  methods_.emplace(service == kOther ? std::string(kOther) : absl::StrCat("/", service, "/", method), entry);
}

Metrics::Method& Metrics::ForMethod(std::string_view path) {
  const auto found = methods_.find(std::string(path));
  return found != methods_.end() ? found->second : methods_.find(std::string(kOther))->second;
}

void Metrics::ObserveSearch(const SearchTimings& timings) {
  constexpr double kSecondsPerMicrosecond = 1e-6;
  queue_.Observe(static_cast<double>(timings.queue_us) * kSecondsPerMicrosecond);
  encode_.Observe(static_cast<double>(timings.encode_us) * kSecondsPerMicrosecond);
  scan_.Observe(static_cast<double>(timings.scan_us) * kSecondsPerMicrosecond);
  if (timings.rerank_us > 0) rerank_.Observe(static_cast<double>(timings.rerank_us) * kSecondsPerMicrosecond);
  queries_per_scan_.Observe(timings.queries_in_scan);
}

Metrics::Node& Metrics::ForNode(const std::string& name) {
  MutexLock lock(&nodes_mutex_);
  const auto [entry, added] = nodes_.try_emplace(name);
  if (!added) return entry->second;
  auto& calls = CounterFamily(registry_, "bebr_node_calls_total");
  entry->second = {
      .ok = &calls.Add({{"node", name}, {"result", "ok"}}),
      .refused = &calls.Add({{"node", name}, {"result", "refused"}}),
      .failed = &calls.Add({{"node", name}, {"result", "failed"}}),
      .seconds = &HistogramFamily(registry_, "bebr_node_call_seconds").Add({{"node", name}}, SecondsBuckets()),
      .answers = &GaugeFamily(registry_, "bebr_node_answers").Add({{"node", name}})};
  return entry->second;
}

void Metrics::SetEngine(Engine* engine) {
  MutexLock lock(&engine_mutex_);
  engine_ = engine;
  gateway_ = nullptr;
  if (engine == nullptr) replica_ = nullptr;
}

void Metrics::SetGateway(GatewayEngine* gateway) {
  MutexLock lock(&engine_mutex_);
  engine_ = gateway;
  gateway_ = gateway;
}

void Metrics::SetReplica(std::string node, std::function<ReplicaState()> state) {
  MutexLock lock(&engine_mutex_);
  node_ = std::move(node);
  replica_ = std::move(state);
}

std::string Metrics::SerializeTimes() {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, seconds_.Collect());
  prometheus::TextSerializer().Serialize(out, stages_.Collect());
  return out.str();
}

std::string Metrics::Serialize() {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  {
    // Held while reading, so that the engine does not close meanwhile.
    MutexLock lock(&engine_mutex_);
    const auto add = [&](std::vector<prometheus::MetricFamily> more) {
      std::move(more.begin(), more.end(), std::back_inserter(families));
    };
    add(ReadMetrics(gateway_ != nullptr ? nullptr : engine_));
    if (gateway_ != nullptr) add(ReadCluster(gateway_->Report()));
    if (replica_ != nullptr) add(ReadReplica(node_, replica_()));
    if (engine_ != nullptr) {
      const std::vector<std::string> names = engine_->ListCollections();
      const std::set<std::string> there(names.begin(), names.end());
      collections_.Retain([&there](const std::string& name) { return there.count(name) != 0; });
    }
  }
  for (UseMetrics* use : {&collections_, &keys_}) {
    use->Rank(SteadyNow());
    for (auto& family : use->Collect()) families.push_back(std::move(family));
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

}  // namespace bebr
