#include "bench/recall/plot.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bebr::bench {
namespace {

constexpr double kWidth = 560, kLeft = 55, kTop = 36, kPlotWidth = 480, kPlotHeight = 400, kLegendRow = 16;
constexpr const char* kColors[] = {"#999999", "#c49c00", "#1f77b4", "#8c564b", "#9467bd", "#17becf", "#e377c2",
                                   "#bcbd22", "#ff7f0e", "#7f7f7f", "#aec7e8", "#c5b0d5", "#98df8a"};
const std::map<std::string, const char*> kOwnColors = {
    {"start", "#ff9896"}, {"groups", "#d62728"}, {"trained", "#2ca02c"}, {"bound", "#000000"}};

// How values become places of one chart.
struct Axes {
  double shift, least, most, low;  // of sizes, and of recall

  double x(double size) const { return shift + kLeft + kPlotWidth * std::log(size / least) / std::log(most / least); }
  double y(double recall) const { return kTop + kPlotHeight * (1.0 - recall) / (1.0 - low); }
};

Axes AxesOf(const PlotChart& chart, double shift) {
  Axes axes{shift, 1e9, 1.0, 1.0};
  for (const PlotSeries& series : chart.series) {
    for (const PlotPoint& point : series.points) {
      axes.least = std::min(axes.least, point.size);
      axes.most = std::max(axes.most, point.size);
      axes.low = std::min(axes.low, point.recall);
    }
  }
  axes.least *= 0.95;
  axes.most *= 1.05;
  axes.low = std::min(0.9, std::floor(axes.low * 10.0) / 10.0);
  return axes;
}

std::string Grid(const PlotChart& chart, const Axes& axes) {
  std::string svg = absl::StrFormat("<text x='%.0f' y='20' font-size='14' font-weight='bold'>%s: recall@10</text>\n",
                                    axes.x(axes.least), chart.title);
  for (int tick = static_cast<int>(std::lround(axes.low * 10)); tick <= 10; ++tick) {
    absl::StrAppendFormat(&svg,
                          "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='#ddd'/><text x='%.1f' y='%.1f' "
                          "text-anchor='end'>%.1f</text>\n",
                          axes.x(axes.least), axes.x(axes.most), axes.y(tick / 10.0), axes.y(tick / 10.0),
                          axes.x(axes.least) - 6, axes.y(tick / 10.0) + 4, tick / 10.0);
  }
  for (double size = 8.0; size < axes.most; size *= 2.0) {
    if (size < axes.least) continue;
    absl::StrAppendFormat(&svg, "<text x='%.1f' y='%.1f' text-anchor='middle'>%.0f</text>\n", axes.x(size),
                          kTop + kPlotHeight + 18, size);
  }
  absl::StrAppendFormat(&svg, "<text x='%.1f' y='%.1f' text-anchor='middle'>%s a document</text>\n",
                        axes.x(axes.least) + kPlotWidth / 2, kTop + kPlotHeight + 38, chart.unit);
  return svg;
}

std::string Chart(const PlotChart& chart, double shift, const std::map<std::string, const char*>& colors) {
  const Axes axes = AxesOf(chart, shift);
  std::string svg = Grid(chart, axes);
  for (size_t s = 0; s < chart.series.size(); ++s) {
    const PlotSeries& series = chart.series[s];
    const char* color = colors.at(series.name);
    std::vector<PlotPoint> points = series.points;
    std::sort(points.begin(), points.end(), [](const PlotPoint& a, const PlotPoint& b) { return a.size < b.size; });
    std::string path;
    for (const PlotPoint& point : points) {
      absl::StrAppendFormat(&path, "%s%.1f,%.1f", path.empty() ? "" : " ", axes.x(point.size), axes.y(point.recall));
      if (series.name == "bound") continue;
      absl::StrAppendFormat(&svg, "<circle cx='%.1f' cy='%.1f' r='3' fill='%s'/>\n", axes.x(point.size),
                            axes.y(point.recall), color);
    }
    const bool ours = kOwnColors.contains(series.name) && series.name != "bound";
    absl::StrAppendFormat(&svg, "<polyline points='%s' fill='none' stroke='%s' stroke-width='%.1f'%s/>\n", path, color,
                          ours ? 2.5 : 1.2, series.name == "bound" ? " stroke-dasharray='6 4'" : "");
    const double y = kTop + kPlotHeight - 12.0 - kLegendRow * static_cast<double>(chart.series.size() - 1 - s);
    const double x = shift + kLeft + kPlotWidth - 150;
    absl::StrAppendFormat(
        &svg, "<rect x='%.1f' y='%.1f' width='10' height='10' fill='%s'/><text x='%.1f' y='%.1f'>%s</text>\n", x, y - 9,
        color, x + 15, y, ours ? absl::StrCat("bebr, ", series.name) : series.name);
  }
  return svg;
}

}  // namespace

absl::Status WritePlot(const std::string& path, const std::vector<PlotChart>& charts) {
  std::map<std::string, const char*> colors = kOwnColors;
  size_t taken = 0;
  for (const PlotChart& chart : charts) {
    for (const PlotSeries& series : chart.series)
      if (colors.emplace(series.name, kColors[taken % std::size(kColors)]).second) ++taken;
  }
  std::ofstream out(path, std::ios::trunc);
  out << absl::StrFormat(
      "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' font-family='sans-serif' "
      "font-size='11'>\n<rect width='100%%' height='100%%' fill='white'/>\n",
      kWidth * static_cast<double>(charts.size()), kTop + kPlotHeight + 50);
  for (size_t i = 0; i < charts.size(); ++i) out << Chart(charts[i], kWidth * static_cast<double>(i), colors);
  out << "</svg>\n";
  out.close();
  if (!out) return absl::UnavailableError(absl::StrCat("'", path, "' cannot be written"));
  return absl::OkStatus();
}

}  // namespace bebr::bench
