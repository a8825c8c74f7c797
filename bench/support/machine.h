// What a benchmark says about the machine it ran on, and what it measures of it in the same run.
#ifndef BEBR_BENCH_SUPPORT_MACHINE_H_
#define BEBR_BENCH_SUPPORT_MACHINE_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bebr::bench {

// Seconds of a clock that never goes back.
double NowSeconds();
// Processor seconds (user and system) of this process, and of another one; 0 if it is not there.
double OwnCpuSeconds();
double ProcessCpuSeconds(int pid);
// Resident bytes of a process; 0 if it is not there.
uint64_t ResidentBytes(int pid);

// The value at `share` of an ascending list; 0 if it is empty.
double Percentile(const std::vector<double>& sorted, double share);

// {processor, cores, memory_gib, kernel}
nlohmann::json DescribeMachine();

// Sequential writes into `directory` with one sync at the end, in MB/s, and syncs of 4 KiB appends a second.
struct DiskLimits {
  double write_mb_per_s = 0;
  double syncs_per_s = 0;
};
absl::StatusOr<DiskLimits> MeasureDisk(const std::string& directory);

// Writes `json` to `path`, or nothing if `path` is empty.
absl::Status WriteJson(const std::string& path, const nlohmann::json& json);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_SUPPORT_MACHINE_H_
