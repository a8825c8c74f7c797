#include "tests/endurance/figures.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_format.h"

namespace bebr::testing {
namespace {

namespace fs = std::filesystem;

constexpr double kMiB = 1 << 20;
constexpr size_t kFewestFigures = 20;

// A figure, and how much more of it the last quarter may show.
struct Limit {
  const char* name;
  double Figures::*figure;
  double factor;
  double more;
};

// Memory and disk go up and down with buffers that fill and files that are merged, latencies with who else works.
constexpr Limit kLimits[] = {
    {"memory (MiB)", &Figures::memory_mib, 1.1, 16}, {"disk (MiB)", &Figures::disk_mib, 1.25, 64},
    {"descriptors", &Figures::descriptors, 1.1, 10}, {"threads", &Figures::threads, 1.0, 4},
    {"p50 (ms)", &Figures::p50_ms, 1.5, 1},          {"p99 (ms)", &Figures::p99_ms, 2, 10},
};

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

double MedianOf(const std::vector<Figures>& all, double from, double to, double Figures::*figure) {
  std::vector<double> values;
  const double count = static_cast<double>(all.size());
  for (size_t i = static_cast<size_t>(from * count); i < static_cast<size_t>(to * count); ++i) {
    values.push_back(all[i].*figure);
  }
  return Median(std::move(values));
}

double DiskBytes(const std::string& directory) {
  double bytes = 0;
  std::error_code gone;  // files come and go meanwhile
  for (auto it = fs::recursive_directory_iterator(directory, gone); it != fs::recursive_directory_iterator();
       it.increment(gone)) {
    if (gone) break;
    struct stat status {};
    if (lstat(it->path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      // Snapshots and collections share files.
      bytes += static_cast<double>(status.st_blocks) * 512 / static_cast<double>(status.st_nlink);
    }
  }
  return bytes;
}

}  // namespace

Figures MeasureProcess(pid_t pid, const std::string& data_dir) {
  const std::string process = absl::StrFormat("/proc/%d", pid);
  Figures figures;
  std::ifstream status(process + "/status");
  for (std::string line; std::getline(status, line);) {
    const size_t digits = line.find_first_of("0123456789");
    if (line.starts_with("VmRSS:")) figures.memory_mib = std::stod(line.substr(digits)) / 1024;
    if (line.starts_with("Threads:")) figures.threads = std::stod(line.substr(digits));
  }
  std::error_code gone;
  for (auto it = fs::directory_iterator(process + "/fd", gone); it != fs::directory_iterator(); it.increment(gone)) {
    if (gone) break;
    ++figures.descriptors;
  }
  figures.disk_mib = DiskBytes(data_dir) / kMiB;
  return figures;
}

std::string Heading() {
  return "minutes  memory MiB  disk MiB  descriptors  threads  p50 ms  p99 ms  searches/s  writes/s";
}

std::string ToLine(const Figures& figures) {
  return absl::StrFormat("%7.1f %11.1f %9.1f %12.0f %8.0f %7.2f %7.2f %11.0f %9.0f", figures.minutes,
                         figures.memory_mib, figures.disk_mib, figures.descriptors, figures.threads, figures.p50_ms,
                         figures.p99_ms, figures.searches_per_s, figures.writes_per_s);
}

std::vector<std::string> Growth(const std::vector<Figures>& all) {
  std::vector<std::string> grown;
  if (all.size() < kFewestFigures) return grown;
  for (const Limit& limit : kLimits) {
    const double before = MedianOf(all, 0.25, 0.5, limit.figure), after = MedianOf(all, 0.75, 1, limit.figure);
    const double most = before * limit.factor + limit.more;
    if (after <= most) continue;
    grown.push_back(absl::StrFormat("%s: %.1f in the second quarter, %.1f in the last one; at most %.1f were expected",
                                    limit.name, before, after, most));
  }
  return grown;
}

}  // namespace bebr::testing
