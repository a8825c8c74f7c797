// Connections to the PostgreSQL that has the logs, used again from call to call.
#ifndef BEBR_INDEX_LOG_POSTGRES_POOL_H_
#define BEBR_INDEX_LOG_POSTGRES_POOL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/log/postgres/connection.h"
#include "index/log/postgres/postgres_logs.h"
#include "index/log/postgres/schema.h"

namespace bebr {

// Thread safety: all methods may be called from any thread; as many connections are open as calls run.
class PostgresLogs::Pool {
 public:
  static absl::StatusOr<std::shared_ptr<Pool>> Open(PostgresOptions options);

  const PostgresOptions& options() const { return options_; }
  // The statement with the schema's name for each "$schema".
  std::string Sql(std::string_view statement) const { return postgres::InSchema(statement, options_.schema); }

  // Runs `body` with a connection, again and again while that breaks or others are in its way, for the timeout of the
  // options: so what it does is done once, or more often without harm. UNAVAILABLE, and why, when the time is over.
  using Body = absl::FunctionRef<absl::Status(postgres::Connection& connection, SteadyTime deadline)>;
  absl::Status Run(Body body);

 private:
  Pool(PostgresOptions options, const Libpq* libpq) : options_(std::move(options)), libpq_(libpq) {}
  absl::Status TryOnce(Body body, SteadyTime deadline);

  static constexpr size_t kMostIdle = 4;
  const PostgresOptions options_;
  const Libpq* const libpq_;
  Mutex mutex_;
  std::vector<std::unique_ptr<postgres::Connection>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bebr

#endif  // BEBR_INDEX_LOG_POSTGRES_POOL_H_
