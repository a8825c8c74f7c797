#include "index/log/postgres/postgres_logs.h"

#include <utility>

#include "index/base/status_macros.h"
#include "index/log/postgres/pool.h"
#include "index/log/postgres/postgres_log.h"

namespace bebr {

using postgres::Connection;
using postgres::Rows;

absl::StatusOr<std::unique_ptr<PostgresLogs>> PostgresLogs::Open(PostgresOptions options) {
  BEBR_ASSIGN_OR_RETURN(auto pool, Pool::Open(std::move(options)));
  return std::unique_ptr<PostgresLogs>(new PostgresLogs(std::move(pool)));
}

PostgresLogs::~PostgresLogs() = default;

absl::Status PostgresLogs::Create(std::string_view name) {
  BEBR_RETURN_IF_ERROR(CheckLogName("log", name));
  return pool_->Run([&](Connection& connection, SteadyTime deadline) {
    return connection.Run(pool_->Sql("SELECT $schema.create_log($1::text)"), {std::string(name)}, deadline).status();
  });
}

absl::StatusOr<std::unique_ptr<Log>> PostgresLogs::Open(std::string_view name) {
  uint64_t id = 0;
  BEBR_RETURN_IF_ERROR(pool_->Run([&](Connection& connection, SteadyTime deadline) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(
        const Rows rows,
        connection.Run(pool_->Sql("SELECT id FROM $schema.log WHERE name = $1::text"), {std::string(name)}, deadline));
    if (rows.size() == 0) return NoSuchLog(name);
    id = rows.number(0, 0);
    return absl::OkStatus();
  }));
  return std::make_unique<PostgresLog>(pool_, id, std::string(name));
}

absl::Status PostgresLogs::Drop(std::string_view name) {
  return pool_->Run([&](Connection& connection, SteadyTime deadline) {
    return connection.Run(pool_->Sql("SELECT $schema.drop_log($1::text)"), {std::string(name)}, deadline).status();
  });
}

absl::StatusOr<std::vector<std::string>> PostgresLogs::Names() {
  std::vector<std::string> names;
  BEBR_RETURN_IF_ERROR(pool_->Run([&](Connection& connection, SteadyTime deadline) -> absl::Status {
    names.clear();
    BEBR_ASSIGN_OR_RETURN(const Rows rows,
                          connection.Run(pool_->Sql("SELECT name FROM $schema.log ORDER BY name"), {}, deadline));
    for (int row = 0; row < rows.size(); ++row) names.emplace_back(rows.bytes(row, 0));
    return absl::OkStatus();
  }));
  return names;
}

}  // namespace bebr
