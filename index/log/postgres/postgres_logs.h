// Logs in PostgreSQL.
#ifndef BEBR_INDEX_LOG_POSTGRES_POSTGRES_LOGS_H_
#define BEBR_INDEX_LOG_POSTGRES_POSTGRES_LOGS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "index/log/log.h"

namespace bebr {

// How to get at the logs.
struct PostgresOptions {
  // A connection string of libpq, of one PostgreSQL or of all that may become the leader: "host=a,b,c dbname=bebr
  // user=bebr". Not through a pooler that changes sessions between statements.
  std::string address;
  std::string schema = "bebr_log";  // where the tables are: a-z, 0-9, _
  bool single = false;              // one PostgreSQL without synchronous standbys is enough
  // A call tries for so long, through failovers too, before it is UNAVAILABLE.
  absl::Duration timeout = absl::Seconds(10);
  // Readers that wait look this often. PostgreSQL's NOTIFY would tell them, but makes all commits wait for each other.
  absl::Duration poll = absl::Milliseconds(50);
  uint64_t generation_bytes = uint64_t{1} << 30;  // of records, after which a part of a log that is trimmed as one ends
};

// PostgresLogs are tables of a PostgreSQL (README.md). Opening fails with FAILED_PRECONDITION where that is set so that
// it would lose acknowledged appends; an append fails so too, if it is set so later, or fails over to one that is.
class PostgresLogs : public Logs {
 public:
  class Pool;  // of connections; its logs share it

  static absl::StatusOr<std::unique_ptr<PostgresLogs>> Open(PostgresOptions options);
  ~PostgresLogs() override;
  absl::Status Create(std::string_view name) override;
  absl::StatusOr<std::unique_ptr<Log>> Open(std::string_view name) override;
  absl::Status Drop(std::string_view name) override;
  absl::StatusOr<std::vector<std::string>> Names() override;

 private:
  explicit PostgresLogs(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}

  const std::shared_ptr<Pool> pool_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_LOG_POSTGRES_POSTGRES_LOGS_H_
