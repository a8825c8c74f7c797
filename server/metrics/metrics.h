// Counting what the server does, and exporting it.
#ifndef BEBR_SERVER_METRICS_METRICS_H_
#define BEBR_SERVER_METRICS_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/base/mutex.h"
#include "index/gateway_engine.h"
#include "index/types/replication.h"
#include "server/config/config.h"
#include "server/metrics/use_metrics.h"

namespace bebr {

// What a running server reads again.
enum class Reloadable { kConfiguration, kKeys, kCertificate };

// Metrics counts what the server does and serialises it, with the engine's figures read at that time, in Prometheus's
// text format.
//
// Labels are bounded: methods are those of the API, codes the 17 canonical ones, collections those that exist.
// Thread safety: all methods may be called from any thread; counting takes no lock but the histograms'.
class Metrics {
 public:
  // The counters of one RPC method.
  struct Method {
    prometheus::Counter* started;
    std::array<prometheus::Counter*, 17> handled;  // by canonical code
    prometheus::Histogram* seconds;
    prometheus::Counter* received;
    prometheus::Counter* sent;
  };

  // The counters of a gateway's calls to one node.
  struct Node {
    prometheus::Counter *ok, *refused, *failed;
    prometheus::Histogram* seconds;
    prometheus::Gauge* answers;
  };

  Metrics();

  // Of "/bebr.v1.SearchService/Search"; methods outside the API share one entry.
  Method& ForMethod(std::string_view path);
  // Of the node of that name, which is one of the configuration's.
  Node& ForNode(const std::string& name);
  void ObserveSearch(const SearchTimings& timings);
  // Calls of an API key that were refused because of one of its limits, named as in the keys file.
  prometheus::Counter& RateLimited(const std::string& key, const std::string& limit);
  // Messages of upsert streams that were answered with this canonical code.
  prometheus::Counter& RefusedMessage(absl::StatusCode code);
  // Connections of strangers that were closed for this reason: bytes, silence, room.
  prometheus::Counter& ClosedStranger(const char* reason);
  // What calls used, by collection and by API key.
  UseMetrics& collections() { return collections_; }
  UseMetrics& keys() { return keys_; }
  prometheus::Gauge& ready() { return ready_; }
  prometheus::Gauge& connections() { return connections_; }
  prometheus::Counter& refused_connections() { return refused_connections_; }
  prometheus::Gauge& pending_response_bytes() { return pending_response_bytes_; }
  prometheus::Counter& slow_readers() { return slow_readers_; }
  prometheus::Counter& slow_queries() { return slow_queries_; }
  // The numeric options in use: those of `config`.
  void SetOptions(const ServerConfig& config);
  // When the TLS certificate in use expires.
  void SetCertificateExpiry(absl::Time expiry);
  // Spans of traces that a collector took, or that were dropped.
  prometheus::Counter& Spans(bool sent) { return sent ? sent_spans_ : dropped_spans_; }
  // Something was read again: `ok` if it is in use now, else what was before stays so.
  void Reloaded(Reloadable what, bool ok);
  // The engine whose figures are exported; null (at first, and when it closes) means that there are none.
  void SetEngine(Engine* engine);
  // In its place that of a gateway, of which the cluster's are exported: its nodes export their own.
  void SetGateway(GatewayEngine* gateway);
  // How far a node of this name has followed a log; asked while the engine is set.
  void SetReplica(std::string node, std::function<ReplicaState()> state);
  // All metrics. May take milliseconds: it measures every collection.
  std::string Serialize();
  // Of these only how long calls and the stages of searches took: no name of a collection or key is in it.
  // Microseconds.
  std::string SerializeTimes();

 private:
  struct ReloadCounters {
    prometheus::Counter* ok;
    prometheus::Counter* failed;
    prometheus::Gauge* failing;
  };
  prometheus::Histogram& Stage(const char* stage);
  void AddReloads();
  void AddMethod(const std::string& service, const std::string& method, const std::string& type);

  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& started_;
  prometheus::Family<prometheus::Counter>& handled_;
  prometheus::Family<prometheus::Histogram>& seconds_;
  prometheus::Family<prometheus::Counter>& received_;
  prometheus::Family<prometheus::Counter>& sent_;
  prometheus::Family<prometheus::Histogram>& stages_;
  prometheus::Family<prometheus::Counter>& rate_limited_;
  prometheus::Family<prometheus::Counter>& closed_strangers_;
  prometheus::Family<prometheus::Gauge>& options_;
  prometheus::Family<prometheus::Gauge>& certificate_expiry_;
  prometheus::Counter& sent_spans_;
  prometheus::Counter& dropped_spans_;
  std::array<ReloadCounters, 3> reloads_;  // by Reloadable
  prometheus::Gauge& ready_;
  prometheus::Gauge& connections_;
  prometheus::Counter& refused_connections_;
  prometheus::Gauge& pending_response_bytes_;
  prometheus::Counter& slow_readers_;
  prometheus::Counter& slow_queries_;
  std::array<prometheus::Counter*, 17> refused_messages_;  // by canonical code
  prometheus::Histogram& queries_per_scan_;
  prometheus::Histogram& queue_;
  prometheus::Histogram& encode_;
  prometheus::Histogram& scan_;
  prometheus::Histogram& rerank_;
  UseMetrics collections_{"collection"};
  UseMetrics keys_{"key"};
  absl::flat_hash_map<std::string, Method> methods_;  // fixed after construction
  Mutex nodes_mutex_;
  std::map<std::string, Node> nodes_ ABSL_GUARDED_BY(nodes_mutex_);
  Mutex engine_mutex_;
  Engine* engine_ ABSL_GUARDED_BY(engine_mutex_) = nullptr;
  GatewayEngine* gateway_ ABSL_GUARDED_BY(engine_mutex_) = nullptr;  // likewise
  std::string node_ ABSL_GUARDED_BY(engine_mutex_);
  std::function<ReplicaState()> replica_ ABSL_GUARDED_BY(engine_mutex_);
};

}  // namespace bebr

#endif  // BEBR_SERVER_METRICS_METRICS_H_
