#include "index/log/postgres/pool.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/status_macros.h"

namespace bebr {

absl::StatusOr<std::shared_ptr<PostgresLogs::Pool>> PostgresLogs::Pool::Open(PostgresOptions options) {
  const bool named = !options.schema.empty() && std::all_of(options.schema.begin(), options.schema.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (!named) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the log's schema \"%s\" is not of a to z, 0 to 9 and _", options.schema));
  }
  BEBR_ASSIGN_OR_RETURN(const Libpq* libpq, LoadLibpq());
  std::shared_ptr<Pool> pool(new Pool(std::move(options), libpq));
  BEBR_RETURN_IF_ERROR(pool->Run([&](postgres::Connection& connection, SteadyTime deadline) {
    return postgres::Prepare(connection, pool->options().schema, deadline);
  }));
  return pool;
}

absl::Status PostgresLogs::Pool::Run(Body body) {
  const SteadyTime deadline = SteadyNow() + options_.timeout;
  absl::Duration wait = absl::Milliseconds(10);
  for (;;) {
    absl::Status status = TryOnce(body, deadline);
    if (!absl::IsUnavailable(status) && !absl::IsAborted(status)) return status;
    if (SteadyNow() + wait >= deadline) return absl::UnavailableError(status.message());
    absl::SleepFor(wait);
    wait = std::min(2 * wait, absl::Milliseconds(500));
  }
}

absl::Status PostgresLogs::Pool::TryOnce(Body body, SteadyTime deadline) {
  std::unique_ptr<postgres::Connection> connection;
  {
    MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (connection == nullptr) {
    BEBR_ASSIGN_OR_RETURN(connection, postgres::Connection::Open(libpq_, options_.address, deadline));
    // After a failover it is another PostgreSQL, with settings of its own.
    BEBR_RETURN_IF_ERROR(postgres::CheckDurable(*connection, options_.single, deadline));
  }
  absl::Status status = body(*connection, deadline);
  MutexLock lock(&mutex_);
  if (connection->broken()) {
    idle_.clear();  // of the same PostgreSQL, which is gone
  } else if (idle_.size() < kMostIdle) {
    idle_.push_back(std::move(connection));
  }
  return status;
}

}  // namespace bebr
