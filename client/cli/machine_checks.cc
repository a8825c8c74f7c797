#include "client/cli/machine_checks.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "index/base/file.h"
#include "index/base/machine_memory.h"
#include "index/simd/kernels.h"
#include "index/types/formats.h"

namespace bebr {
namespace {

constexpr uint64_t kDescriptors = 65536;  // what the systemd unit sets
constexpr uint64_t kLittleDiskBytes = uint64_t{2} << 30;
constexpr double kSlowSyncMs = 20;
constexpr int kSyncs = 9;

Finding Good(std::string about, std::string found) {
  return {Finding::Level::kGood, std::move(about), std::move(found), ""};
}
Finding Warning(std::string about, std::string found, std::string advice) {
  return {Finding::Level::kWarning, std::move(about), std::move(found), std::move(advice)};
}
Finding Fault(std::string about, std::string found, std::string advice) {
  return {Finding::Level::kFault, std::move(about), std::move(found), std::move(advice)};
}

// Empty where there is no such file.
std::string ReadText(const std::string& path) { return ReadFile(path).value_or(""); }

Finding CheckDescriptors() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto most = static_cast<uint64_t>(limit.rlim_max);
  const std::string found = absl::StrFormat("%d open files at most in this session", most);
  if (most >= kDescriptors) return Good("descriptors", found);
  return Warning("descriptors", found,
                 absl::StrFormat("many collections and connections need more: LimitNOFILE=%d in the systemd unit, or "
                                 "ulimit -Hn %d",
                                 kDescriptors, kDescriptors));
}

Finding CheckSwap() {
  const std::string swaps = ReadText("/proc/swaps");
  if (std::count(swaps.begin(), swaps.end(), '\n') <= 1) return Good("swap", "none");
  return Warning("swap", "on",
                 "codes that are swapped out make searches slow: swapoff -a, or MemorySwapMax=0 in the unit");
}

Finding CheckHugePages() {
  const std::string enabled = ReadText("/sys/kernel/mm/transparent_hugepage/enabled");
  if (enabled.empty()) return Warning("huge pages", "this kernel has none", "scans run somewhat slower without");
  if (!absl::StrContains(enabled, "[never]")) return Good("huge pages", "on for what asks for them");
  return Warning("huge pages", "off",
                 "scans are faster with: echo madvise >/sys/kernel/mm/transparent_hugepage/enabled");
}

Finding CheckProcessor() {
  std::string names;
  const simd::KernelTable* best = nullptr;
  for (const simd::KernelTable* table : simd::AllKernels()) {
    if (!table->supported()) continue;
    if (best == nullptr) best = table;
    absl::StrAppendFormat(&names, "%s%s", names.empty() ? "" : ", ", table->name);
  }
  const std::string found = absl::StrFormat("kernel tables %s", names);
  if (best->name != std::string("scalar")) return Good("processor", found);
  return Warning("processor", found,
                 "it has none of the instructions that scans are fast with; in a virtual machine pass the host's "
                 "processor through");
}

Finding CheckClock() {
  timex state{};
  if (adjtimex(&state) != TIME_ERROR) return Good("clock", "synchronised");
  return Warning("clock", "not synchronised",
                 "names of snapshots, logs and certificates follow it: install chrony or systemd-timesyncd");
}

Finding CheckRoom(const std::string& path, const struct statfs& disk) {
  const uint64_t free = uint64_t{disk.f_bavail} * static_cast<uint64_t>(disk.f_bsize);
  const uint64_t total = uint64_t{disk.f_blocks} * static_cast<uint64_t>(disk.f_bsize);
  const std::string found = absl::StrFormat("%s free of %s", HumanBytes(free), HumanBytes(total));
  if (free >= kLittleDiskBytes) return Good("disk room", found);
  return Fault("disk room", found, absl::StrFormat("writes are refused on a full disk: make room at %s", path));
}

Finding CheckKind(const struct statfs& disk) {
  switch (static_cast<unsigned long>(disk.f_type)) {
    case TMPFS_MAGIC:
      return Fault("file system", "tmpfs", "it is memory: what is acknowledged is lost with the machine");
    case NFS_SUPER_MAGIC:
      return Warning("file system", "NFS", "each write waits for a sync over the network; use a local disk");
    case OVERLAYFS_SUPER_MAGIC:
      return Warning("file system", "overlay", "it may go away with the container; mount a volume");
    default:
      return Good("file system", absl::StrFormat("type 0x%x", static_cast<unsigned long>(disk.f_type)));
  }
}

// The median time of a small write and its sync.
Finding CheckSync(const std::string& path) {
  const std::string file = path + "/.bebr-doctor";
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) {
    return Fault("writing", absl::StrFormat("user %d cannot write to %s: %s", getuid(), path, std::strerror(errno)),
                 "run this as the server's user, or give the directory to it");
  }
  std::vector<double> times_ms;
  const std::string block(4096, 'x');
  for (int i = 0; i < kSyncs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (write(fd, block.data(), block.size()) < 0 || fdatasync(fd) != 0) break;
    times_ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  const int error = errno;
  close(fd);
  unlink(file.c_str());
  if (times_ms.size() < kSyncs) return Fault("writing", std::strerror(error), "nothing can be acknowledged there");
  std::nth_element(times_ms.begin(), times_ms.begin() + kSyncs / 2, times_ms.end());
  const double median = times_ms[kSyncs / 2];
  const std::string found = absl::StrFormat("%.1f ms to write and sync 4 kB", median);
  if (median <= kSlowSyncMs) return Good("writing", found);
  return Warning("writing", found, "every write waits so long; larger batches wait less often, a faster disk less");
}

Finding CheckFormats(const std::string& path) {
  std::error_code error;
  size_t collections = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path + "/collections", error)) {
    if (absl::StartsWith(entry.path().filename().string(), ".")) continue;
    const std::string manifest = entry.path().string() + "/manifest.json";
    const auto json = nlohmann::json::parse(ReadText(manifest), nullptr, /*allow_exceptions=*/false);
    const uint32_t format = json.is_object() ? json.value("format", uint32_t{0}) : 0;
    if (format < 1 || format > kNewestManifestFormat) {
      return Fault(
          "format",
          absl::StrFormat("%s has format %d; this program knows 1 to %d", manifest, format, kNewestManifestFormat),
          format < 1 ? "it is damaged: restore a snapshot" : "run the version of bebr-server that wrote it");
    }
    ++collections;
  }
  return Good("format", absl::StrFormat("%d collections, all of a known format", collections));
}

}  // namespace

std::vector<Finding> CheckMachine() {
  return {CheckProcessor(),   Good("memory", absl::StrFormat("%s for this process", HumanBytes(MachineMemoryBytes()))),
          CheckSwap(),        CheckHugePages(),
          CheckDescriptors(), CheckClock()};
}

std::vector<Finding> CheckDataDirectory(const std::string& path) {
  struct statfs disk {};
  if (statfs(path.c_str(), &disk) != 0) {
    return {
        Fault("data directory", absl::StrFormat("%s: %s", path, std::strerror(errno)), "name the server's --data_dir")};
  }
  return {CheckKind(disk), CheckRoom(path, disk), CheckSync(path), CheckFormats(path)};
}

}  // namespace bebr
