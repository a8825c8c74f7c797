// Damage of memory, and of files that nobody reads, found before it does harm.
#ifndef BEBR_INDEX_COLLECTION_SCRUBBER_H_
#define BEBR_INDEX_COLLECTION_SCRUBBER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/collection/registry.h"
#include "index/collection/row_check.h"
#include "index/types/stats.h"

namespace bebr {

// A Scrubber goes over all collections again and again. It reads each table file whole and compares its checksums, and
// compares the ids, codes and attributes in memory with what is stored.
//
// A document whose code or attributes in memory are not the stored ones is written anew with these, as a commit like
// any other: searches from then on find it as it should be. What a write cannot mend is told by Collection::damage(),
// and the log: a file that is damaged or that the disk cannot read, or a row in memory that is not stored; any other
// error of reading is logged, and told too if the next pass ends in the same. Searches go on all the same. It is gone
// when a later pass reads all and finds nothing.
//
// Not compared are the indexes of attributes that look-ups have built, and marks. What changes in RocksDB's memory
// before it is written to a file is refused there (memtable_protection_bytes_per_key).
//
// Ownership: the registry is borrowed. Its one thread runs until it is destroyed; it yields to all others, takes views
// as searches do, a new one for every few rows, and waits after each piece of work for as long as its rate asks.
class Scrubber {
 public:
  struct Options {
    absl::Duration interval = absl::ZeroDuration();  // from the begin of a pass to that of the next; 0: never
    // Read at most, where a row counts as the blocks that hold its code and its attributes; 0: no limit.
    uint64_t bytes_per_s = 0;
  };
  struct Counters {
    uint64_t bytes = 0;   // of memory and files, compared
    uint64_t mended = 0;  // documents
  };

  Scrubber(Registry* registry, Options options);
  ~Scrubber();

  Counters counters() const { return {bytes_.load(), mended_.load()}; }
  void AddTo(EngineStats& stats) const {
    stats.scrubbed_bytes = counters().bytes;
    stats.scrub_mended = counters().mended;
  }

 private:
  struct Subject;  // a collection that is gone over

  void Run();
  void Pass();
  void CheckTables(Subject& subject);
  void CheckSegments(Subject& subject);
  void CheckSegment(Subject& subject, uint32_t shard, const std::weak_ptr<const Segment>& segment);
  // False if the segment is no longer one of the collection's, or it is time to end.
  bool CheckSome(Subject& subject, uint32_t shard, const std::weak_ptr<const Segment>& segment,
                 absl::Span<const uint32_t> rows);
  // Takes note of an error in what was read.
  void Found(Subject& subject, const Collection& collection, const absl::Status& status);
  void Mend(Subject& subject, Collection& collection, RowDifferences differences);
  // Counts what was compared, and waits as long as the rate asks for what was read. False if it is time to end.
  bool Pace(uint64_t compared, uint64_t read);
  bool WaitUntil(SteadyTime time);

  Registry* const registry_;
  const Options options_;
  std::atomic<uint64_t> bytes_{0}, mended_{0};
  std::map<std::string, absl::Status> unread_;  // of the last pass, by collection: what it could not read
  SteadyTime next_;                             // when the rate lets it go on
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_SCRUBBER_H_
