#include "index/follow/seeds.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/errno_status.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

// Files below a directory, at any depth, by their paths below it.
absl::Status ListBelow(const std::string& root, const std::string& below, std::vector<Seed::File>& files) {
  const std::string directory = absl::StrCat(root, "/", below);
  BEBR_ASSIGN_OR_RETURN(const auto names, ListFiles(directory));
  for (const std::string& name : names) {
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(absl::StrCat(directory, "/", name), error);
    if (error) return absl::UnavailableError(absl::StrFormat("\"%s/%s\": %s", directory, name, error.message()));
    files.push_back({absl::StrCat(below, "/", name), bytes});
  }
  BEBR_ASSIGN_OR_RETURN(const auto directories, ListDirectories(directory));
  for (const std::string& name : directories)
    BEBR_RETURN_IF_ERROR(ListBelow(root, absl::StrCat(below, "/", name), files));
  return absl::OkStatus();
}

void Remove(const std::string& directory) {
  const absl::Status removed = RemoveAll(directory);
  if (!removed.ok()) LogWarning("a seed's copies are left: {}", std::string(removed.message()));
}

std::string NewName() { return absl::StrFormat("%08x", std::random_device()()); }

absl::Status NoSuchSeed(std::string_view seed) {
  return absl::NotFoundError(absl::StrFormat("there is no seed \"%s\": it was closed, or not read for too long", seed));
}

}  // namespace

Seeds::Seeds(LogEngine* engine, const std::string& data_dir) : engine_(*engine), root_(data_dir + "/seeds") {
  Remove(root_);
}

absl::Status Seeds::Begin(const std::string& seed) {
  const bool most = [&] {
    MutexLock lock(&mutex_);
    return given_.size() >= kMost;
  }();
  if (most) CloseIdle(kIdleWhereMostAreGiven);
  MutexLock lock(&mutex_);
  if (given_.size() >= kMost)
    return absl::UnavailableError(absl::StrFormat("it gives %d seeds already, and that is the limit", kMost));
  given_[seed].read = absl::InfiniteDuration();  // not idle while it is made
  return absl::OkStatus();
}

absl::StatusOr<Seed> Seeds::End(Seed seed, const absl::Status& filled, const std::string& root, bool lent) {
  MutexLock lock(&mutex_);
  if (!filled.ok()) {
    given_.erase(seed.name);
    if (!lent) Remove(root);
    return filled;
  }
  Given& given = given_[seed.name];
  given.root = root;
  given.lent = lent;
  given.read = SteadyNow();
  for (const Seed::File& file : seed.files) given.files[file.path] = file.bytes;
  return seed;
}

absl::StatusOr<Seed> Seeds::Make(const FollowerState& state) {
  Seed seed{.name = NewName(), .state = state};
  BEBR_RETURN_IF_ERROR(Begin(seed.name));
  const std::string directory = absl::StrCat(root_, "/", seed.name);
  const absl::Status filled = Fill(directory, seed);
  return End(std::move(seed), filled, directory, /*lent=*/false);
}

absl::StatusOr<Seed> Seeds::Lend(const std::string& directory) {
  Seed seed{.name = NewName()};
  BEBR_RETURN_IF_ERROR(Begin(seed.name));
  const size_t slash = directory.rfind('/');
  const std::string root = directory.substr(0, slash);
  const absl::Status listed = ListBelow(root, directory.substr(slash + 1), seed.files);
  return End(std::move(seed), listed, root, /*lent=*/true);
}

absl::Status Seeds::Fill(const std::string& directory, Seed& seed) {
  BEBR_RETURN_IF_ERROR(CreateDirectories(directory));
  seed.aliases = engine_.engine().ListAliases();
  for (const auto& [name, revision] : seed.state.collections) {
    BEBR_RETURN_IF_ERROR(engine_.CopyTo(name, absl::StrCat(directory, "/", name)).status());
    BEBR_RETURN_IF_ERROR(ListBelow(directory, name, seed.files));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Seeds::Read(const std::string& seed, const std::string& path, uint64_t offset,
                                        size_t bytes) {
  uint64_t size = 0;
  std::string full;
  {
    MutexLock lock(&mutex_);
    const auto given = given_.find(seed);
    if (given == given_.end()) return NoSuchSeed(seed);
    const auto file = given->second.files.find(path);
    if (file == given->second.files.end())
      return absl::NotFoundError(absl::StrFormat("seed \"%s\" has no file \"%s\"", seed, path));
    size = file->second;
    full = absl::StrCat(given->second.root, "/", path);
    given->second.read = SteadyNow();
  }
  const int in = open(full.c_str(), O_RDONLY | O_CLOEXEC);
  if (in < 0) return ErrnoStatus(errno, absl::StrCat("\"", full, "\" cannot be read"));
  const absl::Cleanup close_it = [in] { close(in); };
  std::string read(std::min<uint64_t>({bytes, kMostSeedRead, size - std::min(size, offset)}), '\0');
  for (size_t got = 0; got < read.size();) {
    const ssize_t some = pread(in, read.data() + got, read.size() - got, static_cast<off_t>(offset + got));
    if (some < 0 && errno == EINTR) continue;
    if (some < 0) return ErrnoStatus(errno, absl::StrCat("\"", full, "\" cannot be read"));
    if (some == 0) return absl::DataLossError(absl::StrFormat("\"%s\" is shorter than it was", full));
    got += static_cast<size_t>(some);
  }
  return read;
}

void Seeds::Close(const std::string& seed) {
  {
    MutexLock lock(&mutex_);
    const auto given = given_.find(seed);
    if (given == given_.end()) return;
    const bool lent = given->second.lent;
    given_.erase(given);
    if (lent) return;
  }
  Remove(absl::StrCat(root_, "/", seed));
}

void Seeds::CloseIdle(absl::Duration since) {
  std::vector<std::string> idle;
  {
    MutexLock lock(&mutex_);
    for (const auto& [name, given] : given_) {
      if (SteadyNow() > given.read + since) idle.push_back(name);
    }
  }
  for (const std::string& name : idle) {
    LogWarning("seed {} was not read for long and is closed", name);
    Close(name);
  }
}

}  // namespace bebr
