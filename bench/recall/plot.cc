#include "bench/recall/plot.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bebr::bench {
namespace {

constexpr double kWidth = 460, kHeight = 400, kLeft = 55, kTop = 36, kPlotWidth = 380, kPlotHeight = 300;
constexpr const char* kColors[] = {"#999999", "#c49c00", "#1f77b4", "#8c564b",
                                   "#2ca02c", "#d62728", "#9467bd", "#17becf"};

std::string Chart(const PlotChart& chart, double shift) {
  double most_bits = 1.0;
  for (const PlotSeries& series : chart.series) {
    for (const PlotPoint& point : series.points) most_bits = std::max(most_bits, point.bits);
  }
  const auto x = [&](double bits) { return shift + kLeft + kPlotWidth * bits / (most_bits * 1.05); };
  const auto y = [&](double recall) { return kTop + kPlotHeight * (1.0 - recall); };
  std::string svg = absl::StrFormat("<text x='%.0f' y='20' font-size='14' font-weight='bold'>%s</text>\n",
                                    shift + kLeft, chart.title);
  for (int tick = 0; tick <= 10; tick += 2) {
    absl::StrAppendFormat(&svg,
                          "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='#ddd'/><text x='%.1f' y='%.1f' "
                          "text-anchor='end'>%.1f</text>\n",
                          x(0), x(0) + kPlotWidth, y(tick / 10.0), y(tick / 10.0), x(0) - 6, y(tick / 10.0) + 4,
                          tick / 10.0);
  }
  std::vector<double> ticks;
  for (size_t s = 0; s < chart.series.size(); ++s) {
    const char* color = kColors[s % std::size(kColors)];
    std::string path;
    for (const PlotPoint& point : chart.series[s].points) {
      absl::StrAppendFormat(&path, "%s%.1f,%.1f", path.empty() ? "" : " ", x(point.bits), y(point.recall));
      absl::StrAppendFormat(&svg, "<circle cx='%.1f' cy='%.1f' r='3.5' fill='%s'/>\n", x(point.bits), y(point.recall),
                            color);
      ticks.push_back(point.bits);
    }
    absl::StrAppendFormat(&svg, "<polyline points='%s' fill='none' stroke='%s' stroke-width='1.5'/>\n", path, color);
    const double legend_y = kTop + kPlotHeight - 12.0 - 16.0 * static_cast<double>(chart.series.size() - 1 - s);
    absl::StrAppendFormat(
        &svg, "<rect x='%.1f' y='%.1f' width='10' height='10' fill='%s'/><text x='%.1f' y='%.1f'>%s</text>\n",
        shift + kLeft + 230, legend_y - 9, color, shift + kLeft + 245, legend_y, chart.series[s].name);
  }
  std::sort(ticks.begin(), ticks.end());
  ticks.erase(std::unique(ticks.begin(), ticks.end()), ticks.end());
  for (const double bits : ticks)
    absl::StrAppendFormat(&svg, "<text x='%.1f' y='%.1f' text-anchor='middle'>%.0f</text>\n", x(bits),
                          kTop + kPlotHeight + 18, bits);
  absl::StrAppendFormat(&svg, "<text x='%.1f' y='%.1f' text-anchor='middle'>bits a document</text>\n",
                        x(0) + kPlotWidth / 2, kTop + kPlotHeight + 38);
  return svg;
}

}  // namespace

absl::Status WritePlot(const std::string& path, const std::vector<PlotChart>& charts) {
  std::ofstream out(path, std::ios::trunc);
  out << absl::StrFormat(
      "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' font-family='sans-serif' "
      "font-size='11'>\n<rect width='100%%' "
      "height='100%%' fill='white'/>\n",
      kWidth * static_cast<double>(charts.size()), kHeight);
  for (size_t i = 0; i < charts.size(); ++i) out << Chart(charts[i], kWidth * static_cast<double>(i));
  out << "</svg>\n";
  out.close();
  if (!out) return absl::UnavailableError(absl::StrCat("'", path, "' cannot be written"));
  return absl::OkStatus();
}

}  // namespace bebr::bench
