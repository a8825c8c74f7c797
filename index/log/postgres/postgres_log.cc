#include "index/log/postgres/postgres_log.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/status_macros.h"
#include "index/log/postgres/values.h"

namespace bebr {

using postgres::BigInt;
using postgres::Connection;
using postgres::Rows;

namespace {

constexpr uint64_t kMostAppendsOfAPage = 4096;

// What the functions raise, as Log says it.
absl::Status ErrorOfAppend(const Connection& connection, absl::Status status, const LogWriter& writer, uint64_t number,
                           std::string_view log) {
  const std::string& state = connection.error_state();
  if (absl::IsUnavailable(status)) return status;
  if (state == postgres::kFenced) return Fenced(writer.name);
  if (state == postgres::kNoLog) return NoSuchLog(log);
  if (state == postgres::kNotDurable) return postgres::NotDurable(connection.error_text());
  uint64_t last = 0;
  if (state == postgres::kWrongNumber && absl::SimpleAtoi(connection.error_text(), &last)) {
    return WrongNumber(writer.name, number, last);
  }
  return status;
}

}  // namespace

absl::StatusOr<LogWriter> PostgresLog::BeginWriter(std::string_view name) {
  BEBR_RETURN_IF_ERROR(CheckLogName("writer", name));
  LogWriter writer;
  BEBR_RETURN_IF_ERROR(pool_->Run([&](Connection& connection, SteadyTime deadline) -> absl::Status {
    const absl::StatusOr<Rows> row = connection.Run(
        pool_->Sql(
            "INSERT INTO $schema.writer AS w VALUES ($1::bigint, $2::text, 1, 0, 0, $3::uuid) "
            "ON CONFLICT (log, name) DO UPDATE SET epoch = w.epoch + 1 RETURNING epoch, number, position, append"),
        {BigInt(id_), std::string(name), postgres::Uuid({})}, deadline);
    if (absl::IsNotFound(row.status())) return NoSuchLog(name_);
    BEBR_RETURN_IF_ERROR(row.status());
    writer = {std::string(name), row->number(0, 0), row->number(0, 1), {row->number(0, 2), row->append(0, 3)}};
    return absl::OkStatus();
  }));
  return writer;
}

absl::StatusOr<LogPlace> PostgresLog::Append(const LogWriter& writer, uint64_t number,
                                             absl::Span<const LogRecord> records) {
  BEBR_RETURN_IF_ERROR(CheckAppend(records));
  std::vector<uint32_t> shards;
  for (const LogRecord& record : records) shards.push_back(record.shard);
  const std::vector<std::string> arguments = {
      BigInt(id_),
      writer.name,
      BigInt(writer.epoch),
      BigInt(number),
      postgres::IntArray(shards),
      postgres::ByteaArray(records),
      BigInt(pool_->options().generation_bytes),
      postgres::Boolean(pool_->options().single),
  };
  LogPlace place;
  BEBR_RETURN_IF_ERROR(pool_->Run([&](Connection& connection, SteadyTime deadline) -> absl::Status {
    const absl::StatusOr<Rows> row =
        connection.Run(pool_->Sql("SELECT o_position, o_append FROM $schema.append($1::bigint, $2::text, $3::bigint, "
                                  "$4::bigint, $5::int[], $6::bytea[], $7::bigint, $8::boolean)"),
                       arguments, deadline);
    if (!row.ok()) return ErrorOfAppend(connection, row.status(), writer, number, name_);
    place = {row->number(0, 0), row->append(0, 1)};
    return absl::OkStatus();
  }));
  return place;
}

absl::StatusOr<LogPlace> PostgresLog::Head(Connection& connection, SteadyTime deadline) {
  BEBR_ASSIGN_OR_RETURN(const Rows row,
                        connection.Run(pool_->Sql("SELECT head, head_append FROM $schema.log WHERE id = $1::bigint"),
                                       {BigInt(id_)}, deadline));
  if (row.size() == 0) return NoSuchLog(name_);
  return LogPlace{row.number(0, 0), row.append(0, 1)};
}

absl::StatusOr<LogPage> PostgresLog::Read(const LogPlace& after, absl::Span<const uint32_t> shards, size_t max_bytes) {
  LogPage page;
  BEBR_RETURN_IF_ERROR(pool_->Run([&](Connection& connection, SteadyTime deadline) -> absl::Status {
    // Most readers find nothing new.
    page = {.entries = {}, .places = {}, .place = after, .head = {}};
    BEBR_ASSIGN_OR_RETURN(page.head, Head(connection, deadline));
    if (page.head == after) return absl::OkStatus();
    BEBR_RETURN_IF_ERROR(connection.Do("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", deadline));
    absl::Status status = ReadPage(connection, deadline, after, shards, max_bytes, page);
    if (connection.broken()) return status;
    absl::Status ended = connection.Do("ROLLBACK", deadline);
    return status.ok() ? ended : status;
  }));
  return page;
}

absl::Status PostgresLog::ReadPage(Connection& connection, SteadyTime deadline, const LogPlace& after,
                                   absl::Span<const uint32_t> shards, size_t max_bytes, LogPage& page) {
  BEBR_ASSIGN_OR_RETURN(const Generation generation, FindGeneration(connection, deadline, after, page.head));
  BEBR_RETURN_IF_ERROR(CheckPlace(connection, deadline, after, generation));
  if (after.position == page.head.position) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(const Extent extent, Measure(connection, deadline, after, generation, shards, max_bytes));
  page.places = extent.places;
  page.place = page.places.back();
  return ReadRecords(connection, deadline, after, generation, extent, shards, page);
}

absl::StatusOr<PostgresLog::Generation> PostgresLog::FindGeneration(Connection& connection, SteadyTime deadline,
                                                                    const LogPlace& after, LogPlace& head) {
  BEBR_ASSIGN_OR_RETURN(head, Head(connection, deadline));
  if (after.position > head.position) return EndsEarlier(name_, after, head);
  BEBR_ASSIGN_OR_RETURN(
      const Rows row,
      connection.Run(pool_->Sql("SELECT number, first, before, (SELECT min(first) - 1 FROM $schema.generation "
                                "WHERE log = $1::bigint AND first > $2::bigint) FROM $schema.generation "
                                "WHERE log = $1::bigint AND first <= $2::bigint ORDER BY number DESC LIMIT 1"),
                     {BigInt(id_), BigInt(after.position + 1)}, deadline));
  if (row.size() == 0) return TrimmedAway(name_, after.position);
  return Generation{row.number(0, 0), row.number(0, 1), row.append(0, 2),
                    row.null(0, 3) ? head.position : row.number(0, 3)};
}

absl::Status PostgresLog::CheckPlace(Connection& connection, SteadyTime deadline, const LogPlace& after,
                                     const Generation& generation) {
  AppendId there = generation.before;
  if (after.position >= generation.first) {
    BEBR_ASSIGN_OR_RETURN(const Rows row,
                          connection.Run(absl::StrFormat("SELECT append FROM %s WHERE position = $1::bigint",
                                                         Table("appends", generation)),
                                         {BigInt(after.position)}, deadline));
    if (row.size() == 0) return LostHistory(name_, after, "it is there no more");
    there = row.append(0, 0);
  }
  if (there == after.append) return absl::OkStatus();
  return LostHistory(name_, after, absl::StrFormat("append %s is there now", ToText(there)));
}

absl::StatusOr<PostgresLog::Extent> PostgresLog::Measure(Connection& connection, SteadyTime deadline,
                                                         const LogPlace& after, const Generation& generation,
                                                         absl::Span<const uint32_t> shards, size_t max_bytes) {
  const uint64_t wanted = std::min(generation.last - after.position, kMostAppendsOfAPage);
  BEBR_ASSIGN_OR_RETURN(
      const Rows rows,
      connection.Run(absl::StrFormat("SELECT position, append, "
                                     "(SELECT count(*) FROM unnest(shards) AS s WHERE s = ANY($2::int[])), "
                                     "(SELECT coalesce(sum(z), 0)::bigint FROM unnest(shards, sizes) AS t(s, z) "
                                     "WHERE s = ANY($2::int[])) "
                                     "FROM %s WHERE position > $1::bigint ORDER BY position LIMIT %d",
                                     Table("appends", generation), wanted),
                     {BigInt(after.position), postgres::IntArray(shards)}, deadline));
  Extent extent;
  for (int row = 0; row < rows.size(); ++row) {
    if (rows.number(row, 0) != after.position + 1 + row) return Incomplete(after.position + 1 + row, "the append");
    if (row > 0 && extent.bytes + rows.number(row, 3) > max_bytes) return extent;
    extent.places.push_back({rows.number(row, 0), rows.append(row, 1)});
    extent.records += rows.number(row, 2);
    extent.bytes += rows.number(row, 3);
  }
  if (static_cast<uint64_t>(rows.size()) < wanted) return Incomplete(after.position + 1 + rows.size(), "the append");
  return extent;
}

absl::Status PostgresLog::ReadRecords(Connection& connection, SteadyTime deadline, const LogPlace& after,
                                      const Generation& generation, const Extent& extent,
                                      absl::Span<const uint32_t> shards, LogPage& page) {
  BEBR_ASSIGN_OR_RETURN(
      const Rows rows,
      connection.Run(absl::StrFormat("SELECT position, shard, record FROM %s WHERE shard = ANY($1::int[]) "
                                     "AND position > $2::bigint AND position <= $3::bigint ORDER BY position, shard",
                                     Table("records", generation)),
                     {postgres::IntArray(shards), BigInt(after.position), BigInt(extent.places.back().position)},
                     deadline));
  uint64_t bytes = 0;
  for (int row = 0; row < rows.size(); ++row) {
    page.entries.push_back(
        {rows.number(row, 0), static_cast<uint32_t>(rows.number(row, 1)), std::string(rows.bytes(row, 2))});
    bytes += page.entries.back().bytes.size();
  }
  if (page.entries.size() == extent.records && bytes == extent.bytes) return absl::OkStatus();
  return Incomplete(extent.places.back().position,
                    absl::StrFormat("of the records up to there %d of %d bytes; there are %d of %d:", extent.records,
                                    extent.bytes, page.entries.size(), bytes));
}

absl::Status PostgresLog::Incomplete(uint64_t position, std::string_view what) const {
  return absl::DataLossError(
      absl::StrFormat("log \"%s\" has lost %s at position %d: rows of its tables are gone. Restore PostgreSQL from a "
                      "backup, or begin a new log "
                      "from a copy that has applied what is missing",
                      name_, what, position));
}

std::string PostgresLog::Table(std::string_view kind, const Generation& generation) const {
  return absl::StrFormat("%s.%s_%d_%d", pool_->options().schema, kind, id_, generation.number);
}

absl::StatusOr<LogPlace> PostgresLog::WaitBeyond(uint64_t position, SteadyTime deadline) {
  for (absl::Duration wait = absl::Milliseconds(1);; wait = std::min(2 * wait, pool_->options().poll)) {
    LogPlace head;
    BEBR_RETURN_IF_ERROR(pool_->Run([&](Connection& connection, SteadyTime until) -> absl::Status {
      BEBR_ASSIGN_OR_RETURN(head, Head(connection, until));
      return absl::OkStatus();
    }));
    if (head.position > position || SteadyNow() >= deadline) return head;
    absl::SleepFor(std::min(wait, deadline - SteadyNow()));
  }
}

absl::StatusOr<LogState> PostgresLog::State() {
  LogState state;
  BEBR_RETURN_IF_ERROR(pool_->Run([&](Connection& connection, SteadyTime deadline) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(
        const Rows row,
        connection.Run(
            pool_->Sql("SELECT head, head_append, first - 1, before, identity FROM $schema.log, $schema.generation "
                       "WHERE id = $1::bigint AND log = id ORDER BY number LIMIT 1"),
            {BigInt(id_)}, deadline));
    if (row.size() == 0) return NoSuchLog(name_);
    // Of a random UUID the first half is never 0.
    state = {{row.number(0, 0), row.append(0, 1)}, {row.number(0, 2), row.append(0, 3)}, row.append(0, 4).high};
    return absl::OkStatus();
  }));
  return state;
}

absl::StatusOr<LogSize> PostgresLog::Size() {
  LogSize size;
  BEBR_RETURN_IF_ERROR(pool_->Run([&](Connection& connection, SteadyTime deadline) -> absl::Status {
    // Rows as autovacuum, or the statistics of this process, has counted them. Tables may go meanwhile.
    BEBR_ASSIGN_OR_RETURN(
        const Rows row,
        connection.Run(
            pool_->Sql("SELECT coalesce(sum(greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)), 0)::bigint, "
                       "coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint, "
                       "coalesce((SELECT first - 1 FROM $schema.generation WHERE log = $1::bigint "
                       "ORDER BY number OFFSET 1 LIMIT 1), 0) "
                       "FROM $schema.generation g CROSS JOIN unnest(ARRAY['appends', 'records']) AS kind "
                       "JOIN pg_class c ON c.oid = to_regclass(format('$schema.%s_%s_%s', kind, g.log, g.number)) "
                       "WHERE g.log = $1::bigint"),
            {BigInt(id_)}, deadline));
    size = {row.number(0, 0), row.number(0, 1), row.number(0, 2)};
    return absl::OkStatus();
  }));
  return size;
}

absl::StatusOr<LogPlace> PostgresLog::Trim(uint64_t through) {
  BEBR_RETURN_IF_ERROR(pool_->Run([&](Connection& connection, SteadyTime deadline) {
    return connection
        .Run(pool_->Sql("SELECT $schema.trim($1::bigint, $2::bigint)"), {BigInt(id_), BigInt(through)}, deadline)
        .status();
  }));
  BEBR_ASSIGN_OR_RETURN(const LogState state, State());
  return state.trimmed;
}

}  // namespace bebr
