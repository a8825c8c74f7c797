#include "server/metrics/use_metrics.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/metrics/metric_table.h"

namespace bebr {
namespace {

constexpr const char* kOther = "_other";
constexpr std::array<const char*, 3> kKinds = {"search", "write", "other"};
// Answered; refused for what was asked, for the load, or taken back; failed for what the server did.
constexpr std::array<const char*, 3> kResults = {"ok", "refused", "failed"};

size_t ResultOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return 2;
    default:
      return 1;
  }
}

}  // namespace

UseMetrics::Use& UseMetrics::Of(std::string_view name, bool admit) {
  const auto found = uses_.find(name);
  if (found != uses_.end()) return found->second;
  if (!admit) return other_;
  if (uses_.size() < kMostNames) return uses_.try_emplace(std::string(name)).first->second;
  const auto waits = waiting_.find(name);
  if (waits != waiting_.end()) {
    ++waits->second;
  } else if (waiting_.size() < kMostWaiting) {
    waiting_.emplace(name, 1);
  }
  return other_;
}

void UseMetrics::AddCall(std::string_view name, const CallUse& call) {
  if (name.empty()) return;
  const auto kind = static_cast<size_t>(call.kind);
  MutexLock lock(&mutex_);
  // A name that nobody has had success with may be no name of anything.
  Use& use = Of(name, call.code == absl::StatusCode::kOk);
  ++use.recent;
  ++use.calls[kind][ResultOf(call.code)];
  use.queries += call.queries;
  use.documents_scanned += call.documents_scanned;
  use.answer_bytes += call.answer_bytes;
  if (!call.duration.has_value() || kind >= use.latency.size()) return;
  const double seconds = absl::ToDoubleSeconds(*call.duration);
  const auto bucket = std::lower_bound(kSeconds.begin(), kSeconds.end(), seconds) - kSeconds.begin();
  ++use.latency[kind].buckets[static_cast<size_t>(bucket)];
  use.latency[kind].seconds += seconds;
}

void UseMetrics::AddRequestBytes(std::string_view name, uint64_t bytes) {
  if (name.empty()) return;
  MutexLock lock(&mutex_);
  Of(name, /*admit=*/false).request_bytes += bytes;
}

void UseMetrics::Rank(SteadyTime now) {
  MutexLock lock(&mutex_);
  if (now < next_rank_) return;
  next_rank_ = now + kRankInterval;
  std::vector<std::pair<uint64_t, std::string>> busy, idle;
  for (const auto& [name, calls] : waiting_) busy.emplace_back(calls, name);
  for (auto& [name, use] : uses_) idle.emplace_back(std::exchange(use.recent, 0), name);
  std::sort(busy.rbegin(), busy.rend());
  std::sort(idle.begin(), idle.end());
  for (size_t i = 0; i < busy.size() && i < idle.size() && busy[i].first > 2 * idle[i].first; ++i) {
    uses_.erase(idle[i].second);
    uses_.try_emplace(busy[i].second);
  }
  waiting_.clear();
}

void UseMetrics::Retain(const std::function<bool(const std::string&)>& keep) {
  MutexLock lock(&mutex_);
  std::erase_if(uses_, [&](const auto& entry) { return !keep(entry.first); });
}

std::vector<prometheus::MetricFamily> UseMetrics::Collect() const {
  const auto family = [this](const char* suffix) { return EmptyFamily(absl::StrCat("bebr_", label_, suffix).c_str()); };
  prometheus::MetricFamily calls = family("_calls_total"), seconds = family("_call_seconds"),
                           queries = family("_queries_total"), scanned = family("_documents_scanned_total"),
                           requests = family("_request_bytes_total"), answers = family("_answer_bytes_total");
  const auto add = [this](prometheus::MetricFamily& to, const std::string& name) -> prometheus::ClientMetric& {
    prometheus::ClientMetric& metric = to.metric.emplace_back();
    metric.label.push_back({label_, name});
    return metric;
  };
  const auto add_latency = [&](const std::string& name, size_t kind, const Latency& latency) {
    prometheus::ClientMetric& metric = add(seconds, name);
    metric.label.push_back({"kind", kKinds[kind]});
    prometheus::ClientMetric::Histogram& histogram = metric.histogram;
    for (size_t i = 0; i < latency.buckets.size(); ++i) {
      histogram.sample_count += latency.buckets[i];
      const double bound = i < kSeconds.size() ? kSeconds[i] : std::numeric_limits<double>::infinity();
      histogram.bucket.push_back({.cumulative_count = histogram.sample_count, .upper_bound = bound});
    }
    histogram.sample_sum = latency.seconds;
  };
  const auto add_use = [&](const std::string& name, const Use& use) {
    for (size_t kind = 0; kind < kKinds.size(); ++kind) {
      for (size_t result = 0; result < kResults.size(); ++result) {
        prometheus::ClientMetric& metric = add(calls, name);
        metric.label.insert(metric.label.end(), {{"kind", kKinds[kind]}, {"result", kResults[result]}});
        metric.counter.value = static_cast<double>(use.calls[kind][result]);
      }
    }
    for (size_t kind = 0; kind < use.latency.size(); ++kind) add_latency(name, kind, use.latency[kind]);
    add(queries, name).counter.value = static_cast<double>(use.queries);
    add(scanned, name).counter.value = static_cast<double>(use.documents_scanned);
    add(requests, name).counter.value = static_cast<double>(use.request_bytes);
    add(answers, name).counter.value = static_cast<double>(use.answer_bytes);
  };
  MutexLock lock(&mutex_);
  for (const auto& [name, use] : uses_) add_use(name, use);
  add_use(kOther, other_);
  return {std::move(calls),   std::move(seconds),  std::move(queries),
          std::move(scanned), std::move(requests), std::move(answers)};
}

}  // namespace bebr
