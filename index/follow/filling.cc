// How a Follower fills its node from another replica, and gives others what they are filled with.
#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/follow/follower.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

// Those who have nothing to give are not asked all the time.
constexpr absl::Duration kBetweenFillings = absl::Seconds(1);

absl::Status MustBeFilled() { return absl::UnavailableError("it must be filled itself"); }

}  // namespace

absl::StatusOr<bool> Follower::FillWhatIsEmpty() {
  if (applier_.place().position == 0 && options_.sources != nullptr) {
    BEBR_ASSIGN_OR_RETURN(const LogState state, log_->State());
    if (state.head.position == 0) return false;
    const absl::Status filled = Fill();
    if (filled.ok()) return true;
    LogInfo("the node reads the log from its beginning: {}", std::string(filled.message()));
  }
  sown_ = true;
  return false;
}

absl::StatusOr<bool> Follower::FillAnew(const absl::Status& trimmed) {
  if (SteadyNow() >= fill_again_) {
    filled_ = Fill();
    if (filled_.ok()) return true;
    fill_again_ = SteadyNow() + kBetweenFillings;
  }
  return absl::UnavailableError(absl::StrFormat("%s; %s", trimmed.message(), filled_.message()));
}

absl::StatusOr<bool> Follower::FindSnapshot(const SnapshotInfo& which, const absl::Status& missing) {
  // What was applied before it is not lost.
  applied_ = applier_.place().position;
  if (SteadyNow() >= fill_again_) {
    filled_ = FetchSnapshot(which);
    if (filled_.ok()) return true;
    // Whoever has made the collection may have it no more, and has the collection.
    const std::string no_snapshot(filled_.message());
    filled_ = Fill(/*least=*/applier_.state().barrier);
    if (filled_.ok()) return true;
    filled_ = absl::UnavailableError(absl::StrFormat("%s; %s", no_snapshot, filled_.message()));
    fill_again_ = SteadyNow() + kBetweenFillings;
  }
  return absl::UnavailableError(absl::StrFormat("%s; %s", missing.message(), filled_.message()));
}

absl::Status Follower::FetchSnapshot(const SnapshotInfo& which) {
  std::vector<std::string> problems;
  const auto fetch = [&](SeedSource& source) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(const Seed seed, source.OpenSnapshot(which));
    const absl::Cleanup close = [&] { source.Close(seed.name); };
    LogInfo("snapshot {} of collection {} is fetched from node {}: {} bytes", which.name, which.collection,
            source.name(), seed.bytes());
    std::atomic<uint64_t> received{0};
    BEBR_RETURN_IF_ERROR(RemoveAll(snapshots_.fetching()));
    BEBR_RETURN_IF_ERROR(
        FetchFiles(source, seed, snapshots_.fetching(), options_.seed_bytes_per_s, *ending_calls_, received));
    return snapshots_.TakeOver(which, absl::StrCat(snapshots_.fetching(), "/", which.name));
  };
  if (options_.sources != nullptr) {
    for (const auto& source : options_.sources(ending_calls_)) {
      const absl::Status fetched = fetch(*source);
      if (fetched.ok()) return fetched;
      problems.push_back(absl::StrFormat("node %s: %s", source->name(), fetched.message()));
      if (*ending_calls_) break;
    }
  }
  return absl::UnavailableError(absl::StrFormat("no other replica gives it: %s", absl::StrJoin(problems, "; ")));
}

absl::StatusOr<Seed> Follower::OpenSnapshot(const SnapshotInfo& which) {
  BEBR_RETURN_IF_ERROR(snapshots_.Check(which));
  BEBR_ASSIGN_OR_RETURN(const std::string path, snapshots_.PathOf(which));
  return seeds_.Lend(path);
}

absl::Status Follower::FinishFilling() {
  absl::Status adopted = Adopt();
  if (adopted.ok() || absl::IsUnavailable(adopted) || absl::IsResourceExhausted(adopted)) return adopted;
  LogWarning("a seed that was taken over in part cannot be: {}", adopted.ToString());
  return Fill();
}

absl::Status Follower::Fill(uint64_t least) {
  {
    // Two that are empty would wait for each other.
    MutexLock lock(&mutex_);
    asking_ = true;
  }
  GiveSeeds();
  const absl::Cleanup asked = [this] {
    MutexLock lock(&mutex_);
    asking_ = false;
  };
  std::vector<std::string> problems;
  if (options_.sources != nullptr) {
    for (const auto& source : Sources()) {
      const absl::Status filled = FillFrom(*source, least);
      if (filled.ok()) return filled;
      problems.push_back(absl::StrFormat("node %s: %s", source->name(), filled.message()));
      if (*ending_calls_) break;
    }
  }
  if (problems.empty()) return absl::UnavailableError("there is no other replica of its share to fill it");
  return absl::UnavailableError(
      absl::StrFormat("no other replica of its share could fill it: %s", absl::StrJoin(problems, "; ")));
}

// What follows it must be in the log, and the log the one that it was made by.
absl::Status Follower::CheckInLog(const Seed& seed) {
  return log_->Read(seed.state.place, std::vector<uint32_t>{kBarrierShard, LogShardOf(options_.first_slot)}, 1)
      .status();
}

std::vector<std::unique_ptr<SeedSource>> Follower::Sources() const {
  std::vector<std::unique_ptr<SeedSource>> sources = options_.sources(ending_calls_);
  const auto opened = ReadOpenedSeed(SeedDirectory(options_.data_dir));
  // First the one that has begun to fill it.
  std::stable_partition(sources.begin(), sources.end(),
                        [&](const auto& source) { return opened.ok() && source->name() == opened->node; });
  return sources;
}

absl::StatusOr<Seed> Follower::OpenOrGoOn(SeedSource& source) {
  const std::string directory = SeedDirectory(options_.data_dir);
  if (auto opened = ReadOpenedSeed(directory);
      opened.ok() && opened->node == source.name() && !opened->seed.files.empty()) {
    absl::Status there = source.Read(opened->seed.name, opened->seed.files[0].path, 0, 0).status();
    if (there.ok()) return std::move(opened->seed);
    // Its process is another one now, or this one was away for too long.
    if (!absl::IsNotFound(there)) return there;
  }
  BEBR_ASSIGN_OR_RETURN(Seed seed, source.Open());
  BEBR_RETURN_IF_ERROR(RemoveAll(directory));
  BEBR_RETURN_IF_ERROR(CreateDirectories(directory));
  BEBR_RETURN_IF_ERROR(WriteOpenedSeed(directory, {source.name(), seed}));
  return seed;
}

absl::Status Follower::FillFrom(SeedSource& source, uint64_t least) {
  BEBR_ASSIGN_OR_RETURN(const Seed seed, OpenOrGoOn(source));
  const std::string directory = SeedDirectory(options_.data_dir);
  bool goes_on = false;  // what has come is of use to the next attempt
  const absl::Cleanup close = [&] {
    if (goes_on) return;
    source.Close(seed.name);
    if (!applier_.state().filling) RemoveAll(directory).IgnoreError();  // the next attempt does
  };
  if (seed.state.place.position < least)
    return absl::UnavailableError(absl::StrFormat("it has not come to position %d of the log either", least));
  BEBR_RETURN_IF_ERROR(CheckInLog(seed));
  LogInfo("the node is filled from node {}: {} bytes in {} files, as of position {} of the log", source.name(),
          seed.bytes(), seed.files.size(), seed.state.place.position);
  needed_ = seed.state.place.position;
  seed_bytes_ = seed.bytes();
  seeded_bytes_ = 0;
  {
    MutexLock lock(&mutex_);
    filled_from_ = source.name();
  }
  filling_ = true;
  // Until it begins to take over it has what it had.
  const absl::Cleanup fit = [&] { filling_ = applier_.state().filling; };
  Tell();
  const absl::Status fetched =
      FetchSeed(source, seed, directory, options_.seed_bytes_per_s, *ending_calls_, seeded_bytes_);
  goes_on = absl::IsUnavailable(fetched) || absl::IsDeadlineExceeded(fetched);
  BEBR_RETURN_IF_ERROR(fetched);
  for (const auto& [name, revision] : seed.state.collections)
    BEBR_RETURN_IF_ERROR(engine_.CheckCopy(absl::StrCat(directory, "/", name)));
  BEBR_RETURN_IF_ERROR(CheckInLog(seed));
  return Adopt();
}

absl::Status Follower::Adopt() {
  const std::string directory = SeedDirectory(options_.data_dir);
  BEBR_RETURN_IF_ERROR(applier_.Adopt(directory));
  if (absl::Status removed = RemoveAll(directory); !removed.ok())
    LogWarning("what came of a seed is left: {}", std::string(removed.message()));
  applied_ = applier_.place().position;
  head_ = std::max(head_.load(), applied_.load());
  filling_ = false;
  compared_ = false;
  sown_ = true;
  LogInfo("the node is filled and follows the log from position {}", applied_.load());
  return absl::OkStatus();
}

absl::StatusOr<Seed> Follower::OpenSeed() {
  auto made = std::make_shared<std::promise<absl::StatusOr<Seed>>>();  // shared: set_value may outlast get
  {
    MutexLock lock(&mutex_);
    if (ending_) return absl::UnavailableError("the node is stopping");
    if (asking_ || filling_ || quarantined_) return MustBeFilled();
    wanted_.push_back(made);
    changed_.NotifyAll();
  }
  return made->get_future().get();
}

void Follower::GiveSeeds() {
  std::vector<std::shared_ptr<std::promise<absl::StatusOr<Seed>>>> wanted;
  {
    MutexLock lock(&mutex_);
    wanted.swap(wanted_);
  }
  for (auto& made : wanted) made->set_value(MakeSeed());
  seeds_.CloseIdle();
}

absl::StatusOr<Seed> Follower::MakeSeed() {
  if (*ending_calls_) return absl::UnavailableError("the node is stopping");
  {
    MutexLock lock(&mutex_);
    if (asking_ || filling_ || quarantined_) return MustBeFilled();
  }
  if (applier_.place().position == 0) return absl::UnavailableError("it has nothing yet");
  return seeds_.Make(applier_.state());
}

}  // namespace bebr
