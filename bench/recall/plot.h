#ifndef BEBR_BENCH_RECALL_PLOT_H_
#define BEBR_BENCH_RECALL_PLOT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace bebr::bench {

struct PlotPoint {
  double size = 0.0;
  double recall = 0.0;
};

// One line of a chart: the points of a method.
struct PlotSeries {
  std::string name;
  std::vector<PlotPoint> points;
};

struct PlotChart {
  std::string title;
  std::string unit;  // of sizes: "bits" or "bytes"
  std::vector<PlotSeries> series;
};

// Writes charts side by side as one SVG file: recall@10 upwards, the logarithm of a document's size to the right.
// Methods have the same colours in all of them; lines of ours are thick, of a bound dashed.
absl::Status WritePlot(const std::string& path, const std::vector<PlotChart>& charts);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_RECALL_PLOT_H_
