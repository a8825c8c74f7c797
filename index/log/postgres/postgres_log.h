// One log in PostgreSQL.
#ifndef BEBR_INDEX_LOG_POSTGRES_POSTGRES_LOG_H_
#define BEBR_INDEX_LOG_POSTGRES_POSTGRES_LOG_H_

#include <memory>
#include <string>
#include <utility>

#include "index/log/log.h"
#include "index/log/postgres/pool.h"

namespace bebr {

// A PostgresLog is the log with this number in the table of logs. Thread safety: as Log.
class PostgresLog : public Log {
 public:
  PostgresLog(std::shared_ptr<PostgresLogs::Pool> pool, uint64_t id, std::string name)
      : pool_(std::move(pool)), id_(id), name_(std::move(name)) {}

  absl::StatusOr<LogWriter> BeginWriter(std::string_view name) override;
  absl::StatusOr<LogPlace> Append(const LogWriter& writer, uint64_t number,
                                  absl::Span<const LogRecord> records) override;
  absl::StatusOr<LogPage> Read(const LogPlace& after, absl::Span<const uint32_t> shards, size_t max_bytes) override;
  absl::StatusOr<LogPlace> WaitBeyond(uint64_t position, SteadyTime deadline) override;
  absl::StatusOr<LogState> State() override;
  absl::StatusOr<LogSize> Size() override;
  absl::StatusOr<LogPlace> Trim(uint64_t through) override;

 private:
  // The part of the log in which a page lies.
  struct Generation {
    uint64_t number = 0;
    uint64_t first = 0;  // position
    AppendId before;     // the append before that
    uint64_t last = 0;   // position, or that of the log's end
  };
  // What a page has, by the rows of its appends.
  struct Extent {
    std::vector<LogPlace> places;
    uint64_t records = 0;
    uint64_t bytes = 0;
  };
  absl::StatusOr<LogPlace> Head(postgres::Connection& connection, SteadyTime deadline);
  // In a transaction of one moment.
  absl::Status ReadPage(postgres::Connection& connection, SteadyTime deadline, const LogPlace& after,
                        absl::Span<const uint32_t> shards, size_t max_bytes, LogPage& page);
  absl::StatusOr<Generation> FindGeneration(postgres::Connection& connection, SteadyTime deadline,
                                            const LogPlace& after, LogPlace& head);
  // That the place was not lost; `head` is where the log ends.
  absl::Status CheckPlace(postgres::Connection& connection, SteadyTime deadline, const LogPlace& after,
                          const Generation& generation);
  absl::StatusOr<Extent> Measure(postgres::Connection& connection, SteadyTime deadline, const LogPlace& after,
                                 const Generation& generation, absl::Span<const uint32_t> shards, size_t max_bytes);
  absl::Status ReadRecords(postgres::Connection& connection, SteadyTime deadline, const LogPlace& after,
                           const Generation& generation, const Extent& extent, absl::Span<const uint32_t> shards,
                           LogPage& page);
  absl::Status Incomplete(uint64_t position, std::string_view what) const;
  std::string Table(std::string_view kind, const Generation& generation) const;

  const std::shared_ptr<PostgresLogs::Pool> pool_;
  const uint64_t id_;
  const std::string name_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_LOG_POSTGRES_POSTGRES_LOG_H_
