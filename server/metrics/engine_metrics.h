// Metrics that are read when somebody asks.
#ifndef BEBR_SERVER_METRICS_ENGINE_METRICS_H_
#define BEBR_SERVER_METRICS_ENGINE_METRICS_H_

#include <prometheus/metric_family.h>

#include <vector>

#include "index/engine.h"

namespace bebr {

// The metrics that are read rather than counted: the engine's statistics, the sizes of its collections (both only if
// `engine` is not null), the process's use of the machine, and the build.
std::vector<prometheus::MetricFamily> ReadMetrics(Engine* engine);

}  // namespace bebr

#endif  // BEBR_SERVER_METRICS_ENGINE_METRICS_H_
