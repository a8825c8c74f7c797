// What fills a node: copies of a replica's collections, all as they were at one place of the log.
#ifndef BEBR_INDEX_FOLLOW_SEED_H_
#define BEBR_INDEX_FOLLOW_SEED_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/follow/follower_state.h"
#include "index/types/collection.h"

namespace bebr {

inline constexpr size_t kMostSeedRead = size_t{1} << 20;  // bytes

// A Seed as its replica has it: files, each COLLECTION/PATH, and what belongs to them.
struct Seed {
  struct File {
    std::string path;
    uint64_t bytes = 0;
  };
  std::string name;
  FollowerState state;
  std::vector<Alias> aliases;
  std::vector<File> files;
  uint64_t bytes() const;
};

// A SeedSource is another replica of the share, which may be in another process. Thread safety: one thread at a time.
class SeedSource {
 public:
  virtual ~SeedSource() = default;
  virtual std::string name() const = 0;  // of the node
  virtual absl::StatusOr<Seed> Open() = 0;
  // The files of a snapshot alone, each NAME/PATH.
  virtual absl::StatusOr<Seed> OpenSnapshot(const SnapshotInfo& which) = 0;
  // So many bytes of a file, from `offset` on, as they were sent.
  virtual absl::StatusOr<std::string> Read(const std::string& seed, const std::string& path, uint64_t offset,
                                           size_t bytes) = 0;
  virtual void Close(const std::string& seed) = 0;
};
// Those that there are now. Their calls end early once `ending` is true.
using SeedSources = std::function<std::vector<std::unique_ptr<SeedSource>>(std::shared_ptr<std::atomic<bool>> ending)>;

// Writes the files of a seed into `directory`, each made lasting before the next one begins, but for those that are
// whole there from an attempt before. `received` counts the bytes of both. At most `bytes_per_s`, 0: no limit.
absl::Status FetchFiles(SeedSource& source, const Seed& seed, const std::string& directory, uint64_t bytes_per_s,
                        const std::atomic<bool>& ending, std::atomic<uint64_t>& received);
// The same, with what belongs to them. After an error what has come stays, and OpenedSeed says what it is of.
absl::Status FetchSeed(SeedSource& source, const Seed& seed, const std::string& directory, uint64_t bytes_per_s,
                       const std::atomic<bool>& ending, std::atomic<uint64_t>& received);

// A seed that is being fetched, and the node that has it: written first, so that the next attempt goes on with it.
struct OpenedSeed {
  std::string node;
  Seed seed;
};
absl::Status WriteOpenedSeed(const std::string& directory, const OpenedSeed& opened);
absl::StatusOr<OpenedSeed> ReadOpenedSeed(const std::string& directory);

// Where a node fetches it into.
inline std::string SeedDirectory(const std::string& data_dir) { return data_dir + "/seed"; }

// What belongs to the files of a seed that was fetched: it is written last, so what has it is whole.
struct FetchedSeed {
  FollowerState state;
  std::vector<Alias> aliases;
};
absl::Status WriteFetchedSeed(const std::string& directory, const FetchedSeed& seed);
absl::StatusOr<FetchedSeed> ReadFetchedSeed(const std::string& directory);

}  // namespace bebr

#endif  // BEBR_INDEX_FOLLOW_SEED_H_
