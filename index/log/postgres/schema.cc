#include "index/log/postgres/schema.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "index/base/status_macros.h"
#include "index/log/postgres/connection.h"
#include "index/log/postgres/values.h"

namespace bebr::postgres {
namespace {

// What makes PostgreSQL lose acknowledged writes, a text that is empty if nothing does; $1: one without standbys is
// enough.
constexpr std::string_view kUndurable = R"sql(
  SELECT concat_ws(', ',
    CASE WHEN current_setting('fsync') <> 'on' THEN 'fsync is off' END,
    CASE WHEN current_setting('full_page_writes') <> 'on' THEN 'full_page_writes is off' END,
    CASE WHEN current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
          AND NOT ($1 AND current_setting('synchronous_commit') IN ('local', 'remote_write'))
         THEN 'synchronous_commit is ' || current_setting('synchronous_commit') END,
    CASE WHEN NOT $1 AND current_setting('synchronous_standby_names') = ''
         THEN 'synchronous_standby_names is empty' END)
)sql";

constexpr std::string_view kTables = R"sql(
  CREATE TABLE $schema.log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" UNIQUE NOT NULL,
    head bigint NOT NULL, head_append uuid NOT NULL,
    generation bigint NOT NULL, generation_bytes bigint NOT NULL,
    identity uuid NOT NULL DEFAULT gen_random_uuid()) WITH (fillfactor = 50);
  CREATE TABLE $schema.generation (
    log bigint REFERENCES $schema.log ON DELETE CASCADE, number bigint,
    first bigint NOT NULL, before uuid NOT NULL,
    PRIMARY KEY (log, number));
  CREATE TABLE $schema.writer (
    log bigint REFERENCES $schema.log ON DELETE CASCADE, name text COLLATE "C",
    epoch bigint NOT NULL, number bigint NOT NULL, position bigint NOT NULL, append uuid NOT NULL,
    PRIMARY KEY (log, name)) WITH (fillfactor = 50);
)sql";

// Codes do not get smaller by compression, so records are stored without.
constexpr std::string_view kNewGeneration = R"sql(
  CREATE FUNCTION $schema.new_generation(p_log bigint, p_number bigint, p_first bigint, p_before uuid) RETURNS void
  LANGUAGE plpgsql AS $body$
  BEGIN
    INSERT INTO $schema.generation VALUES (p_log, p_number, p_first, p_before);
    EXECUTE format('CREATE TABLE $schema.appends_%s_%s (position bigint PRIMARY KEY, append uuid NOT NULL,
                      shards int[] NOT NULL, sizes int[] NOT NULL)', p_log, p_number);
    EXECUTE format('CREATE TABLE $schema.records_%s_%s (shard int, position bigint, record bytea NOT NULL,
                      PRIMARY KEY (shard, position))', p_log, p_number);
    EXECUTE format('ALTER TABLE $schema.records_%s_%s ALTER record SET STORAGE EXTERNAL', p_log, p_number);
  END $body$
)sql";

constexpr std::string_view kDropGeneration = R"sql(
  CREATE FUNCTION $schema.drop_generation(p_log bigint, p_number bigint) RETURNS void LANGUAGE plpgsql AS $body$
  BEGIN
    EXECUTE format('DROP TABLE $schema.appends_%s_%s', p_log, p_number);
    EXECUTE format('DROP TABLE $schema.records_%s_%s', p_log, p_number);
    DELETE FROM $schema.generation WHERE log = p_log AND number = p_number;
  END $body$
)sql";

constexpr std::string_view kCreate = R"sql(
  CREATE FUNCTION $schema.create_log(p_name text) RETURNS void LANGUAGE plpgsql AS $body$
  DECLARE new_id bigint;
  BEGIN
    INSERT INTO $schema.log (name, head, head_append, generation, generation_bytes)
      VALUES (p_name, 0, '00000000-0000-0000-0000-000000000000', 1, 0) ON CONFLICT (name) DO NOTHING
      RETURNING id INTO new_id;
    IF new_id IS NOT NULL THEN
      PERFORM $schema.new_generation(new_id, 1, 1, '00000000-0000-0000-0000-000000000000');
    END IF;
  END $body$
)sql";

constexpr std::string_view kDrop = R"sql(
  CREATE FUNCTION $schema.drop_log(p_name text) RETURNS void LANGUAGE plpgsql AS $body$
  DECLARE old_id bigint;
  BEGIN
    SELECT id INTO old_id FROM $schema.log WHERE name = p_name FOR UPDATE;
    PERFORM $schema.drop_generation(log, number) FROM $schema.generation WHERE log = old_id;
    DELETE FROM $schema.log WHERE id = old_id;
  END $body$
)sql";

// The lock on the log's row is held until the commit is durable: so positions become visible in their order. What is
// sent again locks it too, and so does not return before the append that it repeats is on the standbys.
constexpr std::string_view kAppend = R"sql(
  CREATE FUNCTION $schema.append(p_log bigint, p_writer text, p_epoch bigint, p_number bigint, p_shards int[],
                                 p_records bytea[], p_generation_bytes bigint, p_single boolean,
                                 OUT o_position bigint, OUT o_append uuid) LANGUAGE plpgsql AS $body$
  DECLARE
    the_log $schema.log%ROWTYPE;
    the_writer $schema.writer%ROWTYPE;
    problem text := $schema.undurable(p_single);
    sizes int[];
  BEGIN
    IF problem <> '' THEN RAISE '%', problem USING ERRCODE = 'BE004'; END IF;
    SELECT * INTO the_log FROM $schema.log WHERE id = p_log FOR NO KEY UPDATE;
    IF NOT FOUND THEN RAISE 'it was dropped' USING ERRCODE = 'BE003'; END IF;
    SELECT * INTO the_writer FROM $schema.writer WHERE log = p_log AND name = p_writer FOR NO KEY UPDATE;
    IF NOT FOUND OR the_writer.epoch <> p_epoch THEN RAISE 'fenced' USING ERRCODE = 'BE001'; END IF;
    IF p_number > 0 AND p_number = the_writer.number THEN
      o_position := the_writer.position;
      o_append := the_writer.append;
      RETURN;
    END IF;
    IF p_number <> the_writer.number + 1 THEN RAISE '%', the_writer.number USING ERRCODE = 'BE002'; END IF;
    IF the_log.generation_bytes >= p_generation_bytes THEN
      the_log.generation := the_log.generation + 1;
      the_log.generation_bytes := 0;
      PERFORM $schema.new_generation(p_log, the_log.generation, the_log.head + 1, the_log.head_append);
    END IF;
    o_position := the_log.head + 1;
    o_append := gen_random_uuid();
    sizes := ARRAY(SELECT octet_length(r) FROM unnest(p_records) WITH ORDINALITY AS t(r, place) ORDER BY place);
    EXECUTE format('INSERT INTO $schema.appends_%s_%s VALUES ($1, $2, $3, $4)', p_log, the_log.generation)
      USING o_position, o_append, p_shards, sizes;
    EXECUTE format('INSERT INTO $schema.records_%s_%s SELECT s, $1, r FROM unnest($2, $3) AS t(s, r)', p_log,
                   the_log.generation) USING o_position, p_shards, p_records;
    UPDATE $schema.log SET head = o_position, head_append = o_append, generation = the_log.generation,
      generation_bytes = the_log.generation_bytes + (SELECT sum(s) FROM unnest(sizes) AS s) WHERE id = p_log;
    UPDATE $schema.writer SET number = p_number, position = o_position, append = o_append
      WHERE log = p_log AND name = p_writer;
  END $body$
)sql";

// Whole generations, but for the newest.
constexpr std::string_view kTrim = R"sql(
  CREATE FUNCTION $schema.trim(p_log bigint, p_through bigint) RETURNS void LANGUAGE plpgsql AS $body$
  DECLARE g record;
  BEGIN
    PERFORM 1 FROM $schema.log WHERE id = p_log FOR NO KEY UPDATE;
    FOR g IN SELECT number, lead(first) OVER (ORDER BY number) - 1 AS last FROM $schema.generation WHERE log = p_log
             ORDER BY number LOOP
      EXIT WHEN g.last IS NULL OR g.last > p_through;
      PERFORM $schema.drop_generation(p_log, g.number);
    END LOOP;
  END $body$
)sql";

absl::Status Make(Connection& connection, const std::string& schema, SteadyTime deadline) {
  const auto run = [&](std::string_view text) { return connection.Do(InSchema(text, schema), deadline); };
  BEBR_RETURN_IF_ERROR(run("CREATE SCHEMA IF NOT EXISTS $schema"));
  // Statements are sent one at a time.
  for (std::string_view rest = kTables; rest.find(';') != rest.npos; rest.remove_prefix(rest.find(';') + 1)) {
    BEBR_RETURN_IF_ERROR(run(rest.substr(0, rest.find(';'))));
  }
  BEBR_RETURN_IF_ERROR(run(absl::StrFormat(
      "CREATE FUNCTION $schema.undurable(boolean) RETURNS text LANGUAGE sql AS $body$%s$body$", kUndurable)));
  for (const std::string_view function : {kNewGeneration, kDropGeneration, kCreate, kDrop, kAppend, kTrim}) {
    BEBR_RETURN_IF_ERROR(run(function));
  }
  BEBR_RETURN_IF_ERROR(run("CREATE TABLE $schema.format (number bigint NOT NULL)"));
  return run(absl::StrCat("INSERT INTO $schema.format VALUES (", kSchemaFormat, ")"));
}

// Logs of releases before have no identity: each gets one, which it keeps.
absl::Status Identify(Connection& connection, const std::string& schema, SteadyTime deadline) {
  BEBR_ASSIGN_OR_RETURN(const Rows there,
                        connection.Run("SELECT 1::bigint FROM pg_attribute WHERE attrelid = to_regclass($1::text) AND "
                                       "attname = 'identity' AND NOT attisdropped",
                                       {absl::StrCat(schema, ".log")}, deadline));
  if (there.size() > 0) return absl::OkStatus();
  return connection.Do(
      InSchema("ALTER TABLE $schema.log ADD COLUMN identity uuid NOT NULL DEFAULT gen_random_uuid()", schema),
      deadline);
}

// Makes the schema, in a transaction that holds the lock of those who do.
absl::Status MakeOrCheck(Connection& connection, const std::string& schema, SteadyTime deadline) {
  BEBR_RETURN_IF_ERROR(
      connection.Run("SELECT pg_advisory_xact_lock(hashtext($1::text))", {absl::StrCat("bebr ", schema)}, deadline)
          .status());
  BEBR_ASSIGN_OR_RETURN(const Rows there, connection.Run("SELECT to_regclass($1::text)::oid::bigint",
                                                         {absl::StrCat(schema, ".format")}, deadline));
  if (there.null(0, 0)) return Make(connection, schema, deadline);
  BEBR_ASSIGN_OR_RETURN(const Rows format,
                        connection.Run(InSchema("SELECT number FROM $schema.format", schema), {}, deadline));
  if (format.size() == 1 && format.number(0, 0) == kSchemaFormat) return Identify(connection, schema, deadline);
  return absl::FailedPreconditionError(
      absl::StrFormat("the log's schema \"%s\" in PostgreSQL has format %d; this server reads %d", schema,
                      format.size() == 1 ? static_cast<int64_t>(format.number(0, 0)) : -1, kSchemaFormat));
}

}  // namespace

absl::StatusCode CodeOf(std::string_view state) {
  // Classes and codes of PostgreSQL's documentation, Appendix A.
  constexpr std::array<std::pair<std::string_view, absl::StatusCode>, 16> kCodes = {{
      {kFenced, absl::StatusCode::kFailedPrecondition},
      {kWrongNumber, absl::StatusCode::kInvalidArgument},
      {kNoLog, absl::StatusCode::kNotFound},
      {kNotDurable, absl::StatusCode::kFailedPrecondition},
      {"08", absl::StatusCode::kUnavailable},     // the connection
      {"25006", absl::StatusCode::kUnavailable},  // it only reads: no longer the leader
      {"57", absl::StatusCode::kUnavailable},     // an operator, a crash, a start
      {"40", absl::StatusCode::kAborted},         // a deadlock, a transaction in the way
      {"55", absl::StatusCode::kAborted},         // a lock that was not got in time
      {"42P01", absl::StatusCode::kAborted},      // a generation that was trimmed between two statements
      {"42501", absl::StatusCode::kPermissionDenied},
      {"23503", absl::StatusCode::kNotFound},        // a writer of a log that was dropped
      {"53", absl::StatusCode::kResourceExhausted},  // disk, memory, connections
      {"58", absl::StatusCode::kUnavailable},        // input and output
      {"XX001", absl::StatusCode::kDataLoss},
      {"XX002", absl::StatusCode::kDataLoss},
  }};
  for (const auto& [prefix, code] : kCodes) {
    if (state.starts_with(prefix)) return code;
  }
  return absl::StatusCode::kInternal;
}

absl::Status NotDurable(std::string_view problem) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "the PostgreSQL that has the log could lose what it has acknowledged: %s. Set fsync, full_page_writes and "
      "synchronous_commit to on, and name standbys in synchronous_standby_names, unless one PostgreSQL without them is "
      "enough (cluster_log_single)",
      problem));
}

std::string InSchema(std::string_view text, const std::string& schema) {
  return absl::StrReplaceAll(std::string(text), {{"$schema", schema}});
}

absl::Status CheckDurable(Connection& connection, bool single, SteadyTime deadline) {
  const std::string statement = absl::StrReplaceAll(std::string(kUndurable), {{"$1", "$1::boolean"}});
  BEBR_ASSIGN_OR_RETURN(const Rows problem, connection.Run(statement, {Boolean(single)}, deadline));
  return problem.bytes(0, 0).empty() ? absl::OkStatus() : NotDurable(problem.bytes(0, 0));
}

absl::Status Prepare(Connection& connection, const std::string& schema, SteadyTime deadline) {
  BEBR_RETURN_IF_ERROR(connection.Do("BEGIN", deadline));
  absl::Status status = MakeOrCheck(connection, schema, deadline);
  if (!connection.broken()) status.Update(connection.Do(status.ok() ? "COMMIT" : "ROLLBACK", deadline));
  return status;
}

}  // namespace bebr::postgres
