// Metrics of a cluster, read when somebody asks.
#ifndef BEBR_SERVER_METRICS_CLUSTER_METRICS_H_
#define BEBR_SERVER_METRICS_CLUSTER_METRICS_H_

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "index/types/cluster_report.h"
#include "index/types/replication.h"

namespace bebr {

// Of a gateway. Labels are bounded by the nodes there may be.
std::vector<prometheus::MetricFamily> ReadCluster(const ClusterReport& report);
// Of a node that follows a log, what it says of itself.
std::vector<prometheus::MetricFamily> ReadReplica(const std::string& node, const ReplicaState& state);

}  // namespace bebr

#endif  // BEBR_SERVER_METRICS_CLUSTER_METRICS_H_
