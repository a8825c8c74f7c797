// One connection to PostgreSQL.
#ifndef BEBR_INDEX_LOG_POSTGRES_CONNECTION_H_
#define BEBR_INDEX_LOG_POSTGRES_CONNECTION_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/base/clock.h"
#include "index/log/log.h"
#include "index/log/postgres/libpq.h"

namespace bebr::postgres {

// What a statement returned. Columns count from 0.
class Rows {
 public:
  Rows(const Libpq* libpq, PGresult* result) : libpq_(libpq), result_(result, libpq->PQclear) {}

  int size() const { return libpq_->PQntuples(result_.get()); }
  bool null(int row, int column) const { return libpq_->PQgetisnull(result_.get(), row, column) != 0; }
  std::string_view bytes(int row, int column) const;
  uint64_t number(int row, int column) const;
  AppendId append(int row, int column) const;

 private:
  const Libpq* libpq_;
  std::unique_ptr<PGresult, decltype(Libpq::PQclear)> result_;
};

// A Connection is to a PostgreSQL that takes writes: of several hosts that the address names, to the one that does.
//
// Errors. UNAVAILABLE: it is broken, or PostgreSQL says that it shuts down, has just begun, or only reads by now; what
// was being done may have been done. ABORTED: the statement found others in its way and did nothing; try again. Those
// of kFenced and the like (schema.h) as Log has them. Thread safety: one thread at a time.
class Connection {
 public:
  // `address` is a connection string of libpq. Of its hosts, in their order, each has its share of what is left until
  // the deadline, and connect_timeout at most; looking up their names is not counted.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const Libpq* libpq, const std::string& address,
                                                          SteadyTime deadline);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Runs one statement; its arguments and results are in binary form (values.h). Not answered at the deadline, or with
  // a warning, such as that a standby was not waited for: UNAVAILABLE, and the connection is broken.
  absl::StatusOr<Rows> Run(const std::string& statement, absl::Span<const std::string> arguments, SteadyTime deadline);
  absl::Status Do(const std::string& statement, SteadyTime deadline) { return Run(statement, {}, deadline).status(); }

  // It can be used no more.
  bool broken() const { return broken_; }
  // SQLSTATE and text of the last statement's error.
  const std::string& error_state() const { return error_state_; }
  const std::string& error_text() const { return error_text_; }

 private:
  Connection(const Libpq* libpq, PGconn* connection);
  using Options = std::map<std::string, std::string>;
  // To the one host of the options.
  static absl::StatusOr<std::unique_ptr<Connection>> OpenOne(const Libpq* libpq, const Options& options,
                                                             SteadyTime deadline);
  absl::Status Send(const std::string& statement, absl::Span<const std::string> arguments, SteadyTime deadline);
  absl::Status WaitForAnswer(SteadyTime deadline);
  // Waits until the socket can be read, or, if `writing`, written as well.
  absl::Status WaitForSocket(bool writing, SteadyTime deadline);
  absl::Status Broken(std::string_view why);
  absl::Status ErrorOf(PGresult* result);

  const Libpq* libpq_;
  PGconn* connection_;
  bool broken_ = false;
  std::string warning_;
  std::string error_state_, error_text_;
};

}  // namespace bebr::postgres

#endif  // BEBR_INDEX_LOG_POSTGRES_CONNECTION_H_
