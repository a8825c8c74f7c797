// The ordered log of a collection that several nodes hold: an interface over engines that others run (README.md).
#ifndef BEBR_INDEX_LOG_LOG_H_
#define BEBR_INDEX_LOG_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "index/base/clock.h"

namespace bebr {

inline constexpr size_t kMaxLogNameBytes = 255;               // of logs and writers
inline constexpr size_t kMaxAppendBytes = size_t{128} << 20;  // of all records of an append
inline constexpr uint32_t kMaxLogShards = 1 << 16;

// What an append got beside its position: no other append of any log, nor of the same log before it lost its end, has
// the same one.
struct AppendId {
  uint64_t high = 0;
  uint64_t low = 0;
  bool operator==(const AppendId&) const = default;
};
std::string ToText(const AppendId& id);

// A place in a log: after this append. By default the beginning, where no append is.
struct LogPlace {
  uint64_t position = 0;  // of the append: 1, 2, 3, ...
  AppendId append;
  bool operator==(const LogPlace&) const = default;
};

// What an append says to one shard.
struct LogRecord {
  uint32_t shard = 0;
  std::string_view bytes;  // borrowed for the call
};

// A record as it is read.
struct LogEntry {
  uint64_t position = 0;
  uint32_t shard = 0;
  std::string bytes;
};

// Some of a log.
struct LogPage {
  std::vector<LogEntry> entries;  // by position, then shard
  std::vector<LogPlace> places;   // of all appends that it has, also those that say nothing to these shards
  LogPlace place;                 // all up to here was read: where the next page begins
  LogPlace head;                  // where the log ended then
};

// Who appends, as BeginWriter has it.
struct LogWriter {
  std::string name;
  uint64_t epoch = 0;
  uint64_t number = 0;  // of its last append, 0: none
  LogPlace place;       // of that append
};

// What is in a log.
struct LogState {
  LogPlace head;          // its last append
  LogPlace trimmed;       // what is before it, and this itself, is there no more
  uint64_t identity = 0;  // random, never 0: tells it from every other log, one of its name in another database too
};

// What a log takes of its engine's disk.
struct LogSize {
  uint64_t rows = 0;    // of its tables, about
  uint64_t bytes = 0;   // of one copy, with indexes
  uint64_t oldest = 0;  // Trim through here lets go of the least that it can; 0: of nothing yet
};

// A Log is a sequence of appends, each of which says something to some shards: all of it, or nothing, is in the log.
// Its number in the log is its position.
//
// Durability. What Append returned OK for is there after any crash and failover that the engine promises to survive.
// Exactly once. A writer numbers its appends: 1, 2, 3, ... An append that is sent again with the same number is not
// made twice, and returns what it returned. Only the last one of a writer can be sent again. Fencing. A writer has one
// epoch at a time: BeginWriter raises it, and who appends by an older one is refused, whatever was under way. Lost
// history. Reading begins at a place that the caller has applied. A log that lost it, since its engine went back to an
// older state, says DATA_LOSS, and so does one that lacks what should follow.
//
// Errors: UNAVAILABLE where the engine could not be asked in time; then the outcome is unknown: ask again. NOT_FOUND
// where the log was dropped. Thread safety: all methods may be called from any thread; of a writer one at a time
// appends.
class Log {
 public:
  virtual ~Log() = default;

  // Makes the writer if there is none. Ends the epochs that it had.
  virtual absl::StatusOr<LogWriter> BeginWriter(std::string_view name) = 0;
  // Appends records of different shards, one at least, as the writer's append `number`. FAILED_PRECONDITION: another
  // one has begun to be this writer, or the engine is no longer durable. INVALID_ARGUMENT: the number is neither the
  // next one nor that of the last append.
  virtual absl::StatusOr<LogPlace> Append(const LogWriter& writer, uint64_t number,
                                          absl::Span<const LogRecord> records) = 0;

  // Whole appends after `after`, but of their records those of `shards` alone: at most `max_bytes` of them, or one
  // append. Empty if there are none. OUT_OF_RANGE: what comes after was trimmed.
  virtual absl::StatusOr<LogPage> Read(const LogPlace& after, absl::Span<const uint32_t> shards, size_t max_bytes) = 0;
  // Waits until the log goes beyond this position, or until the deadline; where it ends then.
  virtual absl::StatusOr<LogPlace> WaitBeyond(uint64_t position, SteadyTime deadline) = 0;
  virtual absl::StatusOr<LogState> State() = 0;
  virtual absl::StatusOr<LogSize> Size() = 0;

  // Lets go of appends up to `through`, or fewer: whole parts of the log at a time. Where it is trimmed now.
  virtual absl::StatusOr<LogPlace> Trim(uint64_t through) = 0;
};

// The logs of a cluster. Thread safety: all methods may be called from any thread. Errors: as a Log's.
class Logs {
 public:
  virtual ~Logs() = default;

  // Makes an empty log, unless there is one of this name.
  virtual absl::Status Create(std::string_view name) = 0;
  // NOT_FOUND if there is none. The log outlives what it came from.
  virtual absl::StatusOr<std::unique_ptr<Log>> Open(std::string_view name) = 0;
  // Removes a log and all that is in it, if there is one.
  virtual absl::Status Drop(std::string_view name) = 0;
  virtual absl::StatusOr<std::vector<std::string>> Names() = 0;  // sorted
};

// What every log holds its callers to.
absl::Status CheckLogName(std::string_view what, std::string_view name);
absl::Status CheckAppend(absl::Span<const LogRecord> records);
// Errors that every log has.
absl::Status NoSuchLog(std::string_view name);
absl::Status Fenced(std::string_view writer);
absl::Status WrongNumber(std::string_view writer, uint64_t number, uint64_t last);
absl::Status LostHistory(std::string_view log, const LogPlace& after, std::string_view found);
// The same of a log that ends before. It may be an engine's that others have replaced and that does not know it yet:
// then the next answer is another one.
absl::Status EndsEarlier(std::string_view log, const LogPlace& after, const LogPlace& head);
bool IsEndsEarlier(const absl::Status& error);
// `who` follows one log, and found, or is asked for, another.
absl::Status AnotherLog(std::string_view who, uint64_t its, uint64_t found);
// Whether an error does not pass by itself: somebody must mend what the log is reached by, or how it is set.
bool MustBeMended(const absl::Status& error);
absl::Status TrimmedAway(std::string_view log, uint64_t position);

}  // namespace bebr

#endif  // BEBR_INDEX_LOG_LOG_H_
