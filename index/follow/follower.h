// What keeps a node's collections up with the cluster's log.
#ifndef BEBR_INDEX_FOLLOW_FOLLOWER_H_
#define BEBR_INDEX_FOLLOW_FOLLOWER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/follow/applier.h"
#include "index/follow/comparisons.h"
#include "index/follow/outcomes.h"
#include "index/log/log.h"
#include "index/log_engine.h"
#include "index/types/replication.h"

namespace bebr {

// Which shard of the log has the changes of collections, versions and aliases, and which those of a share's documents.
inline constexpr uint32_t kBarrierShard = 0;
constexpr uint32_t LogShardOf(uint32_t first_slot) { return first_slot + 1; }

// A Follower reads the log and applies it to the node's engine (Applier), on a thread of its own. It goes on by itself
// when the log, or the disk, is there again. Where the log has lost what was applied, or holds what nobody can apply,
// the node is quarantined: it serves no gateway until its directory was emptied and filled anew from the log.
//
// Ownership: the engine is borrowed. Thread safety: all methods may be called from any thread; `done` runs on any, and
// must not block.
class Follower {
 public:
  struct Options {
    std::string data_dir;
    uint32_t first_slot = 0;
    absl::Duration poll = absl::Milliseconds(50);  // so often it looks for what is new while nobody waits
    size_t page_bytes = size_t{4} << 20;
    absl::Duration patience = absl::Seconds(30);  // a log that ends before what was applied is asked again for so long
  };
  // `open` opens the log; called again and again until it does.
  static absl::StatusOr<std::unique_ptr<Follower>> Open(LogEngine* engine,
                                                        std::function<absl::StatusOr<std::unique_ptr<Log>>()> open,
                                                        Options options);
  ~Follower();

  // ABORTED if what the log has up to `position` is not applied yet, UNAVAILABLE if the node is quarantined.
  absl::Status Check(uint64_t position) const;
  // Waits until it is. DEADLINE_EXCEEDED says how far it is.
  void Await(uint64_t position, SteadyTime deadline, absl::AnyInvocable<void(absl::Status)> done);
  // Waits likewise; then what came of the change. NOT_FOUND if it was applied by a process before this one, or long
  // ago.
  void Outcome(const ChangeKey& key, SteadyTime deadline, absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done);
  // The change that an upsert is. Errors: those of Engine::Upsert.
  void Prepare(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done);
  // As LogEngine::PrepareBackfill, encoded for the log.
  absl::StatusOr<PreparedBackfill> PrepareBackfill(std::string_view collection, std::string_view version,
                                                   std::string_view after, size_t most_documents);
  // As LogEngine::CheckRoomFor.
  absl::Status CheckRoomFor(std::string_view collection, const AttributeChange& change);
  ReplicaState State() const;
  // What the node holds of a collection: as it is, or, where `position` is not 0, as it was where the log asked for a
  // comparison there. As Comparisons::Digest.
  absl::StatusOr<CollectionDigest> Digest(std::string_view collection, uint64_t position = 0, uint64_t bytes_per_s = 0,
                                          const std::atomic<bool>* cancelled = nullptr);

 private:
  struct Waiter {
    SteadyTime deadline;
    absl::AnyInvocable<void(absl::Status)> done;
  };

  Follower(LogEngine* engine, std::function<absl::StatusOr<std::unique_ptr<Log>>()> open, Options options,
           const FollowerState& state);
  void Run();
  absl::StatusOr<LogPage> Read(const LogPlace& after, size_t max_bytes);
  // Applies what is new; whether there was something.
  absl::StatusOr<bool> Step();
  void Quarantine(const absl::Status& lost);
  // How the last step went.
  void Note(const absl::Status& status);
  // Those who have waited.
  void Tell();
  // Waits so long, or less where somebody waits for what the log may have by now; false: this ends.
  bool Rest(absl::Duration most, bool while_nobody_waits);
  absl::Status Behind(uint64_t position) const;

  LogEngine& engine_;
  const std::function<absl::StatusOr<std::unique_ptr<Log>>()> open_;
  const Options options_;
  Outcomes outcomes_;
  Comparisons comparisons_;
  Applier applier_;
  std::unique_ptr<Log> log_;                                  // of the thread
  SteadyTime ends_earlier_since_ = absl::InfiniteDuration();  // infinite: it does not
  bool compared_ = false;  // the log has all that was applied before this process began
  SteadyTime saved_ = SteadyNow();
  std::atomic<uint64_t> applied_;
  std::atomic<uint64_t> head_;
  std::atomic<bool> quarantined_;

  mutable Mutex mutex_;
  CondVar changed_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::string problem_ ABSL_GUARDED_BY(mutex_);
  SteadyTime had_all_ ABSL_GUARDED_BY(mutex_) = SteadyNow();  // when all was applied that the log had; or the start
  std::multimap<uint64_t, Waiter> waiters_ ABSL_GUARDED_BY(mutex_);  // by the position that they wait for
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_FOLLOW_FOLLOWER_H_
