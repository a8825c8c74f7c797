// Families of metrics as they are made for one scrape.
#ifndef BEBR_SERVER_METRICS_FAMILY_LIST_H_
#define BEBR_SERVER_METRICS_FAMILY_LIST_H_

#include <prometheus/metric_family.h>

#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "index/types/stats.h"
#include "server/metrics/metric_table.h"

namespace bebr {

// A list of families in the order in which they are begun.
class FamilyList {
 public:
  // Adds a value to the family `name`, which is begun where it is not the last one.
  void Add(const char* name, double value, std::vector<prometheus::ClientMetric::Label> labels = {}) {
    if (families_.empty() || families_.back().name != name) families_.push_back(EmptyFamily(name));
    prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
    metric.label = std::move(labels);
    (families_.back().type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  }
  // Adds a histogram without labels.
  void Add(const char* name, const DurationCounts& durations) {
    prometheus::ClientMetric::Histogram& histogram =
        families_.emplace_back(EmptyFamily(name)).metric.emplace_back().histogram;
    for (size_t i = 0; i < durations.counts.size(); ++i) {
      histogram.sample_count += durations.counts[i];
      const bool last = i == DurationCounts::kBoundsSeconds.size();
      const double bound = last ? std::numeric_limits<double>::infinity() : DurationCounts::kBoundsSeconds[i];
      histogram.bucket.push_back({.cumulative_count = histogram.sample_count, .upper_bound = bound});
    }
    histogram.sample_sum = durations.sum_seconds;
  }
  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_METRICS_FAMILY_LIST_H_
