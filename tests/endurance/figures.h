// What a soak measures of the server, and whether it stays the same.
#ifndef BEBR_TESTS_ENDURANCE_FIGURES_H_
#define BEBR_TESTS_ENDURANCE_FIGURES_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace bebr::testing {

// What a process has, and what its clients saw since the figures before.
struct Figures {
  double minutes = 0;  // since the load began
  double memory_mib = 0;
  double disk_mib = 0;  // of the data directory, in allocated blocks
  double descriptors = 0;
  double threads = 0;
  double p50_ms = 0;  // of searches
  double p99_ms = 0;
  double searches_per_s = 0;
  double writes_per_s = 0;
};

// The first five, of the process and its data directory.
Figures MeasureProcess(pid_t pid, const std::string& data_dir);

// A line for people, and what stands above it.
std::string Heading();
std::string ToLine(const Figures& figures);

// What has grown: the medians of the last quarter of the time against those of the second one, a sentence each. Empty
// if nothing has, or if there are too few figures to tell.
std::vector<std::string> Growth(const std::vector<Figures>& all);

}  // namespace bebr::testing

#endif  // BEBR_TESTS_ENDURANCE_FIGURES_H_
