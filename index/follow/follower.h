// What keeps a node's collections up with the cluster's log.
#ifndef BEBR_INDEX_FOLLOW_FOLLOWER_H_
#define BEBR_INDEX_FOLLOW_FOLLOWER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
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
#include "index/follow/kept_snapshots.h"
#include "index/follow/outcomes.h"
#include "index/follow/seed.h"
#include "index/follow/seeds.h"
#include "index/log/log.h"
#include "index/log_engine.h"
#include "index/types/replication.h"

namespace bebr {

// Which shard of the log has the changes of collections, versions and aliases, and which those of a share's documents.
inline constexpr uint32_t kBarrierShard = 0;
constexpr uint32_t LogShardOf(uint32_t first_slot) { return first_slot + 1; }

// A Follower reads the log and applies it to the node's engine (Applier), on a thread of its own. It goes on by itself
// when the log, or the disk, is there again. Where the log has lost what was applied, or holds what nobody can apply,
// the node is quarantined: it serves no gateway until its directory was emptied and filled anew.
//
// Seeds. A node that has nothing, while the log has something, is filled from another replica of its share, or else
// from the log's beginning; one that needs what the log has let go of is filled anew from another replica, in place of
// all it had. Meanwhile it serves nobody. What breaks off goes on where it was, as long as the other replica has the
// seed: after a restart of this node too.
//
// Ownership: the engine is borrowed. Thread safety: all methods may be called from any thread; `done` runs on any, and
// must not block.
class Follower {
 public:
  struct Options {
    std::string data_dir;
    uint32_t first_slot = 0, last_slot = 0;
    absl::Duration poll = absl::Milliseconds(50);  // so often it looks for what is new while nobody waits
    size_t page_bytes = size_t{4} << 20;
    absl::Duration patience = absl::Seconds(30);  // a log that ends before what was applied is asked again for so long
    SeedSources sources;                          // null: there is none
    uint64_t seed_bytes_per_s = 0;                // 0: no limit
    // An error says why the node is not to follow the log; ALREADY_EXISTS: another server has its name. Null: it is to.
    std::function<absl::Status()> may_follow;
    std::function<std::string()> warning;  // asked after it: ReplicaState's; null: none
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
  // UNAVAILABLE if it follows another log than this (LogState::identity); of 0 nobody knows which.
  absl::Status CheckLog(uint64_t identity) const;
  // Waits likewise; then what came of a change of the append there. NOT_FOUND if it was applied by a process before
  // this one, or long ago. DATA_LOSS if another append was applied there.
  void Outcome(const LogPlace& place, uint32_t number, SteadyTime deadline,
               absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done);
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

  // Of the cluster's snapshots, as KeptSnapshots has them.
  absl::StatusOr<std::vector<ReplicaSnapshot>> ListSnapshots(const std::string& collection) {
    return snapshots_.List(collection);
  }
  absl::Status CheckSnapshot(const SnapshotInfo& which) { return snapshots_.CheckRestorable(which); }
  // For another replica: a snapshot, which must be whole here.
  absl::StatusOr<Seed> OpenSnapshot(const SnapshotInfo& which);
  // For another replica: what is here, as it is between two changes of the log. Waits for that. UNAVAILABLE: there is
  // nothing, or too many are given.
  absl::StatusOr<Seed> OpenSeed();
  Seeds& seeds() { return seeds_; }

 private:
  struct Waiter {
    SteadyTime deadline;
    absl::AnyInvocable<void(absl::Status)> done;
  };

  Follower(LogEngine* engine, std::function<absl::StatusOr<std::unique_ptr<Log>>()> open, Options options,
           const FollowerState& state);
  void Run();
  // UNAVAILABLE, and the node stands still, if it is not the log that the node has followed.
  absl::Status OpenLog();
  absl::StatusOr<LogPage> Read(const LogPlace& after, size_t max_bytes);
  // Whether it may follow the log.
  absl::Status AskWhetherToFollow();
  // What comes before the first change of the log is applied; whether the node was filled instead.
  absl::StatusOr<bool> Begin();
  // Applies what is new; whether there was something.
  absl::StatusOr<bool> Step();
  void Quarantine(const absl::Status& lost);
  absl::Status SaveNowAndThen();

  // filling.cc
  // Whether it was filled; false: it has something, or nobody has it, and the log may have all.
  absl::StatusOr<bool> FillWhatIsEmpty();
  // Of a node that needs what the log has let go of.
  absl::StatusOr<bool> FillAnew(const absl::Status& trimmed);
  // After a crash while a seed was taken over.
  absl::Status FinishFilling();
  // By a seed as of `least` or beyond.
  absl::Status Fill(uint64_t least = 0);
  absl::Status FillFrom(SeedSource& source, uint64_t least);
  // The one that was being fetched from this source, if there is one; else another one.
  absl::StatusOr<Seed> OpenOrGoOn(SeedSource& source);
  std::vector<std::unique_ptr<SeedSource>> Sources() const;
  // Of a node that is to make a collection of a snapshot that it has not.
  absl::StatusOr<bool> FindSnapshot(const SnapshotInfo& which, const absl::Status& missing);
  absl::Status FetchSnapshot(const SnapshotInfo& which);
  absl::Status CheckInLog(const Seed& seed);
  absl::Status Adopt();
  void GiveSeeds();
  absl::StatusOr<Seed> MakeSeed();
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
  KeptSnapshots snapshots_;
  Applier applier_;
  Seeds seeds_;
  std::unique_ptr<Log> log_;                                  // of the thread
  uint64_t opened_ = 0;                                       // which log that is
  SteadyTime ends_earlier_since_ = absl::InfiniteDuration();  // infinite: it does not
  bool compared_ = false;  // the log has all that was applied before this process began
  bool sown_ = false;      // it has something, or nobody else has
  SteadyTime fill_again_ = absl::ZeroDuration();
  absl::Status filled_;                          // how the last attempt went
  SteadyTime ask_again_ = absl::ZeroDuration();  // whether it may follow
  SteadyTime saved_ = SteadyNow();
  std::atomic<uint64_t> applied_;
  std::atomic<uint64_t> head_;
  std::atomic<uint64_t> identity_;  // of the log that it follows, once it does
  std::atomic<bool> quarantined_;
  std::atomic<bool> filling_{false};
  std::atomic<uint64_t> needed_{0};  // while it is filled: the place of the seed
  std::atomic<uint64_t> seed_bytes_{0}, seeded_bytes_{0};
  const std::shared_ptr<std::atomic<bool>> ending_calls_ = std::make_shared<std::atomic<bool>>(false);

  mutable Mutex mutex_;
  CondVar changed_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::string problem_ ABSL_GUARDED_BY(mutex_);
  std::string warning_ ABSL_GUARDED_BY(mutex_);
  bool name_taken_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyTime had_all_ ABSL_GUARDED_BY(mutex_) = SteadyNow();  // when all was applied that the log had; or the start
  bool asking_ ABSL_GUARDED_BY(mutex_) = false;               // others for a seed
  std::string filled_from_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<std::promise<absl::StatusOr<Seed>>>> wanted_ ABSL_GUARDED_BY(mutex_);
  std::multimap<uint64_t, Waiter> waiters_ ABSL_GUARDED_BY(mutex_);  // by the position that they wait for
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_FOLLOW_FOLLOWER_H_
