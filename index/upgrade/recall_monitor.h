// Recall measured again and again, in the background.
#ifndef BEBR_INDEX_UPGRADE_RECALL_MONITOR_H_
#define BEBR_INDEX_UPGRADE_RECALL_MONITOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/upgrade/recall.h"

namespace bebr {

// A RecallMonitor measures recall@10 of every version that has stored floats again and again, on a thread that yields
// to others and reads no more than so many documents a second. What it finds of probes it tells the collection, for
// searches that name a recall.
//
// Thread safety: all methods may be called from any thread. The destructor stops a measurement in progress and waits.
class RecallMonitor {
 public:
  struct Options {
    absl::Duration interval;
    size_t queries = 0;            // of a measurement
    uint64_t documents_per_s = 0;  // 0 = no limit
  };
  struct Counters {
    uint64_t measured = 0;
    uint64_t failed = 0;
  };
  using ListCollections = std::function<std::vector<std::shared_ptr<Collection>>()>;

  RecallMonitor(Options options, ListCollections list, SearchNow search);
  ~RecallMonitor();

  // The last measurement of a version; none if there was none.
  std::optional<RecallSample> Last(const std::string& collection, const std::string& version) const;
  Counters counters() const;

 private:
  void Run();
  void MeasureAll();
  void Measure(Collection& collection, const Version& version);
  // Waits until as many documents may have been read.
  absl::Status Spend(size_t documents);
  // False once it is to stop.
  bool Wait(absl::Duration duration);

  const Options options_;
  const ListCollections list_;
  const SearchNow search_;

  mutable Mutex mutex_;
  CondVar wake_;  // stopping_
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  const std::shared_ptr<std::atomic<bool>> unwanted_ = std::make_shared<std::atomic<bool>>(false);  // set then
  SteadyTime next_read_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, std::string>, RecallSample> last_ ABSL_GUARDED_BY(mutex_);  // collection, version
  Counters counters_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_UPGRADE_RECALL_MONITOR_H_
