// The one table of all metrics.
#ifndef BEBR_SERVER_METRICS_METRIC_TABLE_H_
#define BEBR_SERVER_METRICS_METRIC_TABLE_H_

#include <prometheus/metric_family.h>

#include <span>

namespace bebr {

// A row of the table of metrics: everything the server exports is in AllMetrics(), and nothing else is.
struct MetricInfo {
  const char* name;
  prometheus::MetricType type;
  const char* labels;  // comma-separated
  const char* help;
};
std::span<const MetricInfo> AllMetrics();

// The row of AllMetrics() of that name, without values yet; the name must be there.
prometheus::MetricFamily EmptyFamily(const char* name);

}  // namespace bebr

#endif  // BEBR_SERVER_METRICS_METRIC_TABLE_H_
