// What calls use, by collection and by API key.
#ifndef BEBR_SERVER_METRICS_USE_METRICS_H_
#define BEBR_SERVER_METRICS_USE_METRICS_H_

#include <prometheus/metric_family.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"

namespace bebr {

// What a call was for.
enum class CallKind { kSearch, kWrite, kOther };

// What a call that has ended used.
struct CallUse {
  CallKind kind = CallKind::kOther;
  absl::StatusCode code = absl::StatusCode::kOk;
  std::optional<absl::Duration> duration;  // none for streams, which last as long as their clients like
  uint64_t queries = 0;
  uint64_t documents_scanned = 0;  // documents times queries
  uint64_t answer_bytes = 0;
};

// UseMetrics counts what calls use by a name: there is one for collections and one for API keys.
//
// Names are bounded: kMostNames have series of their own, and all others share "_other", which is no collection's name.
// The first that a call succeeds for get them; Rank hands them on to busier ones. A series is never taken up again
// where it was left, so counters only grow.
//
// Thread safety: all methods may be called from any thread.
class UseMetrics {
 public:
  static constexpr size_t kMostNames = 50;
  static constexpr absl::Duration kRankInterval = absl::Minutes(10);

  // `label` is "collection" or "key"; the families are bebr_LABEL_calls_total and so on.
  explicit UseMetrics(std::string label) : label_(std::move(label)) {}

  // A call has ended; one without a name is not counted.
  void AddCall(std::string_view name, const CallUse& use);
  // A message of so many bytes came in.
  void AddRequestBytes(std::string_view name, uint64_t bytes);
  // Where a name without series of its own had over twice the calls of one with, since the last time, it gets them.
  // Does nothing within kRankInterval of the last time.
  void Rank(SteadyTime now);
  // Forgets the names for which `keep` is false.
  void Retain(const std::function<bool(const std::string&)>& keep);
  std::vector<prometheus::MetricFamily> Collect() const;

 private:
  static constexpr size_t kMostWaiting = 1000;
  static constexpr std::array<double, 8> kSeconds = {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60};
  struct Latency {
    std::array<uint64_t, kSeconds.size() + 1> buckets{};
    double seconds = 0;
  };
  struct Use {
    std::array<std::array<uint64_t, 3>, 3> calls{};  // by CallKind, then by kResults
    std::array<Latency, 2> latency;                  // of searches and of writes
    uint64_t queries = 0;
    uint64_t documents_scanned = 0;
    uint64_t request_bytes = 0;
    uint64_t answer_bytes = 0;
    uint64_t recent = 0;  // calls since the last Rank
  };
  // That of the name, or of "_other"; `admit`: the name may have one of its own from now on.
  Use& Of(std::string_view name, bool admit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string label_;
  mutable Mutex mutex_;
  std::map<std::string, Use, std::less<>> uses_ ABSL_GUARDED_BY(mutex_);
  Use other_ ABSL_GUARDED_BY(mutex_);
  // Calls since the last Rank of names without series.
  std::map<std::string, uint64_t, std::less<>> waiting_ ABSL_GUARDED_BY(mutex_);
  SteadyTime next_rank_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
};

}  // namespace bebr

#endif  // BEBR_SERVER_METRICS_USE_METRICS_H_
