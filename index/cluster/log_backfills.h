// Backfills of a cluster with a log.
#ifndef BEBR_INDEX_CLUSTER_LOG_BACKFILLS_H_
#define BEBR_INDEX_CLUSTER_LOG_BACKFILLS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/types/collection.h"

namespace bebr {

// LogBackfills drive the backfills that were begun through this gateway: share by share, and part by part in the order
// of the documents' ids, again and again until nothing is left. A part is a write like any other, encoded by one
// replica and made by all; so nothing is kept of how far one came. It ends with the gateway. Faults that may pass are
// waited for, and told in the info meanwhile. Thread safety: all methods may be called from any thread.
class LogBackfills {
 public:
  // Of a part: documents that were encoded, and the last id that was looked at; empty: there are no more.
  struct Part {
    uint64_t documents = 0;
    std::string last_id;
  };
  struct Subject {
    std::string collection, version;
    auto operator<=>(const Subject&) const = default;
  };
  // Writes the next part of a share.
  using Write = std::function<absl::StatusOr<Part>(size_t share, const Subject& subject, const std::string& after,
                                                   uint32_t most_documents)>;

  LogBackfills(size_t shares, Write write) : shares_(shares), write_(std::move(write)) {}
  ~LogBackfills();

  // Of one that runs already only the limit changes; 0: none.
  void Start(const Subject& subject, uint64_t documents_per_s);
  // FAILED_PRECONDITION if none runs.
  absl::Status Stop(const Subject& subject);
  // Ends those of a collection that is no more: another one may get its name.
  void Forget(const std::string& collection);
  // Adds what is known of those of the collection.
  void AddTo(CollectionInfo& info) const;

 private:
  struct Job {
    BackfillInfo info;
    SteadyTime begun = SteadyNow();
    bool stopping = false;
    bool forgotten = false;  // then stopping too
    std::thread thread;
  };
  void Run(const Subject& subject, Job& job);
  // Documents that were encoded in one pass over all shares.
  absl::StatusOr<uint64_t> Pass(const Subject& subject, Job& job);
  // Whether to go on after so long.
  bool Rest(const Job& job, absl::Duration time);
  uint32_t MostDocuments(const Job& job) const;
  void Count(Job& job, uint64_t documents);

  const size_t shares_;
  const Write write_;
  mutable Mutex mutex_;
  CondVar wake_;
  std::map<Subject, std::unique_ptr<Job>> jobs_ ABSL_GUARDED_BY(mutex_);  // what they point to as well; ended ones too
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_LOG_BACKFILLS_H_
