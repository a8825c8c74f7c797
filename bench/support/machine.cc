#include "bench/support/machine.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/thread_pool.h"

namespace bebr::bench {
namespace {

std::string FirstValue(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t start = line.find_first_not_of(" \t:", key.size());
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

absl::Status WriteAll(int fd, const std::vector<char>& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t wrote = write(fd, bytes.data() + done, bytes.size() - done);
    if (wrote < 0) return absl::ErrnoToStatus(errno, "cannot write to the disk being measured");
    done += static_cast<size_t>(wrote);
  }
  return absl::OkStatus();
}

absl::StatusOr<DiskLimits> MeasureFile(int fd) {
  DiskLimits limits;
  const std::vector<char> large(4 << 20, 'x');
  constexpr int kLarge = 64;
  double start = NowSeconds();
  for (int i = 0; i < kLarge; ++i) {
    if (const absl::Status status = WriteAll(fd, large); !status.ok()) return status;
  }
  if (fdatasync(fd) != 0) return absl::ErrnoToStatus(errno, "cannot sync the disk being measured");
  limits.write_mb_per_s = kLarge * static_cast<double>(large.size()) / 1e6 / (NowSeconds() - start);
  const std::vector<char> small(4096, 'y');
  int syncs = 0;
  start = NowSeconds();
  for (; syncs < 2000 && NowSeconds() - start < 1; ++syncs) {
    if (const absl::Status status = WriteAll(fd, small); !status.ok()) return status;
    if (fdatasync(fd) != 0) return absl::ErrnoToStatus(errno, "cannot sync the disk being measured");
  }
  limits.syncs_per_s = syncs / (NowSeconds() - start);
  return limits;
}

}  // namespace

double NowSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double OwnCpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double ProcessCpuSeconds(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

uint64_t ResidentBytes(int pid) {
  const std::string value = FirstValue(absl::StrCat("/proc/", pid, "/status"), "VmRSS");
  return value.empty() ? 0 : std::stoull(value) * 1024;
}

double Percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

nlohmann::json DescribeMachine() {
  utsname system;
  uname(&system);
  const std::string memory = FirstValue("/proc/meminfo", "MemTotal");
  return {{"processor", FirstValue("/proc/cpuinfo", "model name")},
          {"cores", AvailableProcessors()},
          {"memory_gib", memory.empty() ? 0.0 : std::stod(memory) / (1 << 20)},
          {"kernel", system.release}};
}

absl::StatusOr<DiskLimits> MeasureDisk(const std::string& directory) {
  const std::string path = directory + "/disk_limit";
  const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", path));
  absl::StatusOr<DiskLimits> limits = MeasureFile(fd);
  close(fd);
  unlink(path.c_str());
  return limits;
}

absl::Status WriteJson(const std::string& path, const nlohmann::json& json) {
  if (path.empty()) return absl::OkStatus();
  std::ofstream file(path);
  file << json.dump(2) << "\n";
  file.close();
  return file ? absl::OkStatus() : absl::UnavailableError(absl::StrCat("cannot write ", path));
}

}  // namespace bebr::bench
