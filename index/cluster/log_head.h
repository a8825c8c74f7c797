// Where the log ends: what a read must see that begins now.
#ifndef BEBR_INDEX_CLUSTER_LOG_HEAD_H_
#define BEBR_INDEX_CLUSTER_LOG_HEAD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/log/log.h"
#include "index/types/cluster_report.h"

namespace bebr {

// Opens the cluster's log; called again where it could not, or the log has failed.
using OpenLog = std::function<absl::StatusOr<std::unique_ptr<Log>>()>;

// A LogHead asks the log where it ends, once for all who ask at the same time. Every acknowledged write, through any
// gateway, is at or before the position of an answer that was asked for after the acknowledgement. Thread safety: all
// methods may be called from any thread.
class LogHead {
 public:
  struct Answer {
    uint64_t position = 0;
    bool known = false;  // false: the log could not be asked in time, and this is the last that is known here
  };
  explicit LogHead(OpenLog open);
  ~LogHead();

  // `done` runs on the thread of this object, or the caller's, and must not block.
  void Get(absl::AnyInvocable<void(Answer)> done);
  Answer Wait();
  // A position that the log has.
  void Saw(uint64_t position);
  uint64_t Last();
  // Which log it is (LogState::identity); 0: it has not answered yet.
  uint64_t identity() const { return identity_; }
  // Whether it ended before this position when it was asked after this time.
  bool EndedBefore(uint64_t position, SteadyTime time);
  // How the log is, as it was a few seconds ago; nothing of appends.
  LogReport Report();

 private:
  using Done = absl::AnyInvocable<void(Answer)>;
  void Run();
  bool Ending();
  // Those who wait, once somebody does, or it is time to look how the log is: then there may be none.
  std::vector<Done> AwaitWaiting(SteadyTime look_at);
  absl::StatusOr<uint64_t> Ask();
  static void Tell(const absl::Status& asked);
  // Notes what Report says beside where it ends.
  void Measure(const absl::Status& asked);

  // After the log could not be asked, answers come at once for so long.
  static constexpr absl::Duration kPause = absl::Milliseconds(500);
  static constexpr absl::Duration kLookInterval = absl::Seconds(5);

  const OpenLog open_;
  std::unique_ptr<Log> log_;  // of the thread
  uint64_t trimmed_ = 0;      // of the thread
  std::atomic<uint64_t> identity_{0};
  Mutex mutex_;
  CondVar changed_;
  std::vector<Done> waiting_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t told_ ABSL_GUARDED_BY(mutex_) = 0;  // where it said last that it ends, and when it was asked
  SteadyTime asked_ ABSL_GUARDED_BY(mutex_);
  SteadyTime pause_until_ ABSL_GUARDED_BY(mutex_);
  LogReport report_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_LOG_HEAD_H_
