// The way of a gateway's writes into the log.
#ifndef BEBR_INDEX_CLUSTER_LOG_LANE_H_
#define BEBR_INDEX_CLUSTER_LOG_LANE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/cluster/log_head.h"
#include "index/log/log.h"
#include "index/shard/commit_counters.h"
#include "index/types/cluster_report.h"

namespace bebr {

// A LogLane appends writes in the order in which they came: what waits while an append is under way is the next one,
// all of it or nothing. Each append has the next number of this writer, and one whose outcome is not known is looked
// for under its number, after which it cannot come any more: so none is appended twice. Where the log has lost the
// writer's last appends, since it was brought back to an earlier state, the writer begins anew after those it has.
//
// Errors: UNAVAILABLE: the log could not be asked; the message says whether the write is not in it, or nobody knows.
// RESOURCE_EXHAUSTED: too much waits. INTERNAL: no replica could read it, and it is not written. Thread safety: all
// methods may be called from any thread.
class LogLane {
 public:
  // What a write says: to each shard of the log one change (index/replica/log_change.h).
  struct Write {
    std::map<uint32_t, std::string> changes;
    bool alone = false;  // nothing may be in its append beside it
  };
  // Where it is: an append at a position, and in the record of each of its shards a number.
  struct Placed {
    uint64_t position = 0;
    AppendId append;
    std::map<uint32_t, uint32_t> numbers;
    LogPlace place() const { return {position, append}; }
  };
  using Done = absl::AnyInvocable<void(absl::StatusOr<Placed>)>;

  // `writer` is a name that nobody else has. An append, with what is done to know its outcome, takes `timeout` at most,
  // and what the log itself takes.
  LogLane(OpenLog open, std::string writer, absl::Duration timeout);
  ~LogLane();
  // `done` runs on the lane's thread, or the caller's, and must not block.
  void Append(Write write, Done done);
  // What has become of appends.
  void AddTo(LogReport& report) const;

 private:
  struct Waiting {
    Write write;
    Done done;
    size_t bytes = 0;
  };
  void Run();
  std::vector<Waiting> Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AppendGroup(std::vector<Waiting> group);
  absl::StatusOr<LogPlace> AppendRecords(const std::vector<LogRecord>& records);
  // After an append failed: whether it is in the log all the same. From then on it is, or never will be.
  absl::StatusOr<std::optional<LogPlace>> Find(uint64_t number, SteadyTime deadline);
  absl::Status Begin();
  bool Ending();

  static constexpr size_t kMostGroup = size_t{4} << 20;      // bytes of an append, or one write
  static constexpr size_t kMostWaiting = size_t{256} << 20;  // bytes

  const OpenLog open_;
  const std::string name_;
  const absl::Duration timeout_;
  std::unique_ptr<Log> log_;         // of the thread
  std::optional<LogWriter> writer_;  // of the thread; none: to be begun
  bool failed_ = false;              // of the thread: so it was when it was begun last
  Mutex mutex_;
  CondVar changed_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<uint64_t> failed_appends_{0};
  DurationCounter appends_;
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_LOG_LANE_H_
