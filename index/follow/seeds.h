// The seeds that a replica gives.
#ifndef BEBR_INDEX_FOLLOW_SEEDS_H_
#define BEBR_INDEX_FOLLOW_SEEDS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/follow/follower_state.h"
#include "index/follow/seed.h"
#include "index/log_engine.h"

namespace bebr {

// Beside them it lends directories that others keep.
//
// Seeds are directories in `seeds/` of the data directory, whose large files are hard links to those of the
// collections: so they cost the disk what changes meanwhile. None outlives the process.
//
// Ownership: the engine is borrowed. Thread safety: all methods may be called from any thread; while one is made
// nothing must change the engine.
class Seeds {
 public:
  static constexpr size_t kMost = 2;  // at a time
  // What was not read for so long has lost its reader, which else goes on after a break.
  static constexpr absl::Duration kIdle = absl::Minutes(5), kIdleWhereMostAreGiven = absl::Minutes(1);

  // Removes those of a process before.
  Seeds(LogEngine* engine, const std::string& data_dir);
  // A copy of all collections, which are as `state` says. UNAVAILABLE if there are kMost.
  absl::StatusOr<Seed> Make(const FollowerState& state);
  // The files of a directory that stays as it is, each by the directory's name and its path there; likewise.
  absl::StatusOr<Seed> Lend(const std::string& directory);
  // NOT_FOUND if there is no such seed, or file of it.
  absl::StatusOr<std::string> Read(const std::string& seed, const std::string& path, uint64_t offset, size_t bytes);
  void Close(const std::string& seed);
  void CloseIdle() { CloseIdle(kIdle); }

 private:
  struct Given {
    std::string root;                       // that its files' paths are below
    bool lent = false;                      // not its own
    std::map<std::string, uint64_t> files;  // bytes
    SteadyTime read;                        // last
  };
  void CloseIdle(absl::Duration since);
  absl::Status Fill(const std::string& directory, Seed& seed);
  // Begins and ends one that is made.
  absl::Status Begin(const std::string& seed);
  absl::StatusOr<Seed> End(Seed seed, const absl::Status& filled, const std::string& root, bool lent);

  LogEngine& engine_;
  const std::string root_;
  Mutex mutex_;
  std::map<std::string, Given> given_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bebr

#endif  // BEBR_INDEX_FOLLOW_SEEDS_H_
