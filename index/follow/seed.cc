#include "index/follow/seed.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "index/base/clock.h"
#include "index/base/errno_status.h"
#include "index/base/status_macros.h"
#include "index/catalog/checked_json.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

constexpr const char* kStateFile = "/seed.json";
constexpr const char* kOpenedFile = "/.opened.json";  // no collection has such a name
constexpr uint32_t kFormat = 1;                       // of it
constexpr absl::Duration kNap = absl::Milliseconds(50);

absl::Status Ending() { return absl::UnavailableError("the node is stopping"); }

// Whether a path from another process stays below the directory into which it is written.
bool StaysBelow(const std::string& path) {
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return path.find('\0') == path.npos;
}

// Keeps a copy at a rate.
class Pace {
 public:
  explicit Pace(uint64_t bytes_per_s) : bytes_per_s_(bytes_per_s) {}
  // Waits until so many more bytes may have come.
  absl::Status Took(uint64_t bytes, const std::atomic<bool>& ending) {
    taken_ += bytes;
    for (;;) {
      if (ending) return Ending();
      if (bytes_per_s_ == 0) return absl::OkStatus();
      const absl::Duration early =
          absl::Seconds(static_cast<double>(taken_) / static_cast<double>(bytes_per_s_)) - (SteadyNow() - begun_);
      if (early <= absl::ZeroDuration()) return absl::OkStatus();
      absl::SleepFor(std::min(early, kNap));
    }
  }

 private:
  const uint64_t bytes_per_s_;
  const SteadyTime begun_ = SteadyNow();
  uint64_t taken_ = 0;
};

// It gets its name when it is whole and lasting.
absl::Status FetchFile(SeedSource& source, const std::string& seed, const Seed::File& file, const std::string& named,
                       Pace& pace, const std::atomic<bool>& ending, std::atomic<uint64_t>& received) {
  const std::string path = named + ".part";
  const int out = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0) return ErrnoStatus(errno, absl::StrCat("\"", path, "\" cannot be made"));
  const absl::Cleanup close_it = [out] { close(out); };
  for (uint64_t offset = 0; offset < file.bytes;) {
    const size_t wanted = std::min<uint64_t>(kMostSeedRead, file.bytes - offset);
    BEBR_ASSIGN_OR_RETURN(const std::string bytes, source.Read(seed, file.path, offset, wanted));
    if (bytes.size() != wanted) {
      return absl::DataLossError(absl::StrFormat("of file %s of the seed %d bytes came at %d, and %d were wanted",
                                                 file.path, bytes.size(), offset, wanted));
    }
    for (size_t written = 0; written < bytes.size();) {
      const ssize_t some = write(out, bytes.data() + written, bytes.size() - written);
      if (some < 0 && errno != EINTR) return ErrnoStatus(errno, absl::StrCat("\"", path, "\" cannot be written"));
      written += some < 0 ? 0 : static_cast<size_t>(some);
    }
    offset += wanted;
    received += wanted;
    BEBR_RETURN_IF_ERROR(pace.Took(wanted, ending));
  }
  if (fsync(out) != 0) return ErrnoStatus(errno, absl::StrCat("\"", path, "\" cannot be made lasting"));
  std::error_code error;
  std::filesystem::rename(path, named, error);
  return error ? absl::UnavailableError(absl::StrFormat("\"%s\": %s", named, error.message())) : absl::OkStatus();
}

// How many files, the first ones, are whole in the directory.
size_t WholeFiles(const Seed& seed, const std::string& directory) {
  size_t there = 0;
  for (; there < seed.files.size(); ++there) {
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(absl::StrCat(directory, "/", seed.files[there].path), error);
    if (error || bytes != seed.files[there].bytes) break;
  }
  return there;
}

nlohmann::json JsonOf(const std::vector<Alias>& aliases) {
  nlohmann::json json = nlohmann::json::object();
  for (const Alias& alias : aliases) json[alias.name] = alias.collection;
  return json;
}

std::vector<Alias> AliasesOf(const nlohmann::json& json) {
  std::vector<Alias> aliases;
  for (const auto& [name, collection] : json.items()) aliases.push_back({name, collection.get<std::string>()});
  return aliases;
}

}  // namespace

uint64_t Seed::bytes() const {
  uint64_t sum = 0;
  for (const File& file : files) sum += file.bytes;
  return sum;
}

absl::Status FetchFiles(SeedSource& source, const Seed& seed, const std::string& directory, uint64_t bytes_per_s,
                        const std::atomic<bool>& ending, std::atomic<uint64_t>& received) {
  BEBR_RETURN_IF_ERROR(CreateDirectories(directory));
  const size_t whole = WholeFiles(seed, directory);
  received = 0;
  for (size_t i = 0; i < whole; ++i) received += seed.files[i].bytes;
  const uint64_t needed = seed.bytes() - received, free = DiskSpaceOf(directory).free_bytes;
  if (needed > free) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("a seed of %d bytes does not fit: %d bytes of the disk are free", needed, free));
  }
  Pace pace(bytes_per_s);
  for (const Seed::File& file : absl::MakeConstSpan(seed.files).subspan(whole)) {
    if (ending) return Ending();
    if (!StaysBelow(file.path)) return absl::DataLossError("the seed has a file of an impossible name");
    const std::string path = absl::StrCat(directory, "/", file.path);
    BEBR_RETURN_IF_ERROR(CreateDirectories(path.substr(0, path.rfind('/')), /*synced=*/false));
    BEBR_RETURN_IF_ERROR(FetchFile(source, seed.name, file, path, pace, ending, received));
  }
  return SyncTree(directory);
}

absl::Status FetchSeed(SeedSource& source, const Seed& seed, const std::string& directory, uint64_t bytes_per_s,
                       const std::atomic<bool>& ending, std::atomic<uint64_t>& received) {
  BEBR_RETURN_IF_ERROR(FetchFiles(source, seed, directory, bytes_per_s, ending, received));
  return WriteFetchedSeed(directory, {seed.state, seed.aliases});
}

absl::Status WriteFetchedSeed(const std::string& directory, const FetchedSeed& seed) {
  return WriteFileAtomically(directory + kStateFile, WriteCheckedJson({{"format", kFormat},
                                                                       {"state", EncodeFollowerState(seed.state)},
                                                                       {"aliases", JsonOf(seed.aliases)}}));
}

absl::Status WriteOpenedSeed(const std::string& directory, const OpenedSeed& opened) {
  const Seed& seed = opened.seed;
  nlohmann::json files = nlohmann::json::array();
  for (const Seed::File& file : seed.files) files.push_back({file.path, file.bytes});
  return WriteFileAtomically(directory + kOpenedFile, WriteCheckedJson({{"format", kFormat},
                                                                        {"node", opened.node},
                                                                        {"seed", seed.name},
                                                                        {"state", EncodeFollowerState(seed.state)},
                                                                        {"aliases", JsonOf(seed.aliases)},
                                                                        {"files", std::move(files)}}));
}

absl::StatusOr<OpenedSeed> ReadOpenedSeed(const std::string& directory) {
  OpenedSeed opened;
  BEBR_RETURN_IF_ERROR(ReadCheckedJson(
      directory + kOpenedFile, kFormat, /*needed=*/true, [&](const nlohmann::json& json) -> absl::Status {
        opened.node = json.at("node").get<std::string>();
        opened.seed.name = json.at("seed").get<std::string>();
        BEBR_ASSIGN_OR_RETURN(opened.seed.state, DecodeFollowerState(json.at("state").get<std::string>()));
        opened.seed.aliases = AliasesOf(json.at("aliases"));
        for (const nlohmann::json& file : json.at("files"))
          opened.seed.files.push_back({file.at(0).get<std::string>(), file.at(1).get<uint64_t>()});
        return absl::OkStatus();
      }));
  return opened;
}

absl::StatusOr<FetchedSeed> ReadFetchedSeed(const std::string& directory) {
  FetchedSeed seed;
  BEBR_RETURN_IF_ERROR(ReadCheckedJson(
      directory + kStateFile, kFormat, /*needed=*/true, [&](const nlohmann::json& json) -> absl::Status {
        BEBR_ASSIGN_OR_RETURN(seed.state, DecodeFollowerState(json.at("state").get<std::string>()));
        seed.aliases = AliasesOf(json.at("aliases"));
        return absl::OkStatus();
      }));
  return seed;
}

}  // namespace bebr
